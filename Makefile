# Everything a newcomer needs: `make demo` to see it work, `make test` to know that it does.
# The first interpreter that runs and is new enough; a name on the PATH may be a shim with nothing behind it.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && { echo $$p; exit; }; done; echo no-python-3.11-to-3.13)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-faults lint bench study-small audit lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY)  ## make .venv with infomcr in it, from the lock file

DEMO_RUNS := $(foreach reg,off on,$(foreach seed,0 1 2,demo/runs/$(reg)-$(seed)))

demo: $(READY)  ## train with and without the regularizer on digits, evaluate, compare
	@$(MAKE) --no-print-directory -j 2 $(DEMO_RUNS:=/.trained)
	@$(MAKE) --no-print-directory demo/.evaluated
	$(BIN)/infomcr compare $(DEMO_RUNS) --plots demo/plots --html demo/comparison.html
	@echo
	@echo "Pictures: demo/plots/   Page: demo/comparison.html"
	@echo "MLflow UI: $(BIN)/infomcr ui --runs-dir demo/runs"

demo/runs/%/.trained:
	@if [ -d $(@D) ]; then go="--resume $(@D)"; else go="--run-dir $(@D) experiment=demo reg=$(word 1,$(subst -, ,$*)) seed=$(word 2,$(subst -, ,$*))"; fi; \
	INFOMCR_THREADS=1 $(BIN)/infomcr train $$go && touch $@

demo/.evaluated: $(DEMO_RUNS:=/.trained)
	$(BIN)/infomcr eval $(DEMO_RUNS) && touch $@

test: $(READY)  ## the tests, slow ones left out
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-slow: $(READY)  ## the long studies and cluster tests
	$(BIN)/python -m pytest -q -m slow

test-faults: $(READY)  ## cause every fault for real and print what was observed
	$(BIN)/python -m pytest -q -m faults

lint: $(READY)  ## ruff, mypy --strict, the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## what is fast, against what
	$(BIN)/python -m benchmarks

audit: $(READY)  ## known vulnerabilities of the locked packages
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

lock:  ## solve the lock file anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --extra dev --extra ray \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --upgrade -o requirements.lock

clean:  ## remove what make made, not your runs
	rm -rf $(VENV) build dist .*_cache .hypothesis
