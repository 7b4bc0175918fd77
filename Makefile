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

demo: $(READY)  ## train with and without the regularizer on digits, evaluate, compare
	$(BIN)/infomcr sweep experiment=demo reg=off,on 'seed=range(3)' runs_dir=demo/runs sweep.name=demo
	@echo
	@echo "Pictures:  demo/sweeps/demo/plots/ and, all on one page, demo/sweeps/demo/comparison.html"
	@echo "MLflow UI: $(BIN)/infomcr ui --runs-dir demo/runs"

test: $(READY)  ## the tests and the examples of docstrings, slow ones left out
	$(BIN)/python -m pytest -q --doctest-modules infomcr_cli
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-slow: $(READY)  ## the long studies and cluster tests
	$(BIN)/python -m pytest -q -m slow

test-faults: $(READY)  ## cause every fault for real and print what was observed
	$(BIN)/python -m pytest -q -m faults

lint: $(READY)  ## ruff, mypy --strict, the layers contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

study-small: $(READY)  ## train, measure and compare the minima of docs/study-small.md (CIFAR10=PATH)
	$(BIN)/python -m benchmarks.study_small $(if $(CIFAR10),--data "$(CIFAR10)")

bench: $(READY)  ## what is fast, against what
	$(BIN)/python -m benchmarks

audit: $(READY)  ## known vulnerabilities of the locked packages
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

lock:  ## solve the lock file anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --extra dev --extra ray \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --upgrade -o requirements.lock

clean:  ## remove what make made, not your runs
	rm -rf $(VENV) build dist .*_cache .hypothesis
