# Everything a newcomer needs: `make demo` to see it work, `make test` to know that it does.
# The first interpreter that runs and is new enough; a name on the PATH may be a shim with nothing behind it.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && { echo $$p; exit; }; done; echo no-python-3.11-to-3.13)
VENV   := .venv
BIN    := $(VENV)/bin
# A file for each level of packages that is installed: to run, to test, to work on infomcr.
RUN    := $(VENV)/.run
TEST   := $(VENV)/.test
DEV    := $(VENV)/.dev
export TF_CPP_MIN_LOG_LEVEL ?= 3
PIP    := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-faults lint docs bench study study-small audit lock clean

help:  ## list all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# $(call install,LOCK,WHAT,SIZE): pip's own lines are many, so a line for each twenty packages stands for them.
define install
	@echo "Installing what is needed to $(2): $(3) in $(VENV), two to four minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ $(PIP) --progress-bar off --require-hashes -r $(1); echo $$? >$(VENV)/.status; } | awk -v all=$$(grep -c '==' $(1)) '\
		/^Collecting/ && ++n % 20 == 0 { print "  " n " of about " all " packages found"; fflush() } \
		/^ *Downloading.*\([0-9.]+ (MB|GB)\)/ && /\(([0-9]{3,}\.|[0-9.]+ GB)/ { print "  " $$1, $$2, $$3, $$4; fflush() } \
		/^Installing/ { print "  unpacking " NF - 3 " packages"; fflush() }'
	@test "$$(cat $(VENV)/.status)" = 0
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
endef

$(RUN): requirements.lock pyproject.toml
	$(call install,requirements.lock,run infomcr,3 GB)
	@touch $(RUN)

$(TEST): requirements-test.lock pyproject.toml
	$(call install,requirements-test.lock,run and test infomcr,3 GB)
	@touch $(RUN) $(TEST)

$(DEV): requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock,work on infomcr (linters and Ray included),3.5 GB)
	@touch $(RUN) $(TEST) $(DEV)

setup: $(RUN)  ## install infomcr into .venv from the lock file

demo: $(RUN)  ## train small and large batches, with and without the regularizer, evaluate, compare
	$(BIN)/infomcr sweep experiment=demo data.batch_size=16,64 reg=off,on 'seed=range(3)' runs_dir=demo/runs sweep.name=demo
	@echo
	@echo "Plots:     demo/sweeps/demo/plots/ and, all on one page, demo/sweeps/demo/comparison.html"
	@echo "MLflow UI: $(BIN)/infomcr ui --runs-dir demo/runs"

test: $(TEST)  ## run the quick tests and the docstring examples
	$(BIN)/python -m pytest -q --doctest-modules infomcr_cli
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-slow: $(DEV)  ## run the slow tests (studies, clusters)
	$(BIN)/python -m pytest -q -m slow

test-faults: $(TEST)  ## cause every fault for real and print the results
	$(BIN)/python -m pytest -q -m faults

lint: $(DEV)  ## run ruff, mypy --strict and the layers check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV)  ## build the documentation site in site/, and docs/measures.md
	$(BIN)/python -m infomcr_cli.measures.page > $(VENV)/measures.md
	mv $(VENV)/measures.md docs/measures.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html"

STUDY = run $(if $(CIFAR10),--data "$(CIFAR10)") $(if $(HOURS),--hours $(HOURS)) \
	$(if $(FAMILY),--only $(FAMILY)) $(if $(SLICE),--slice $(SLICE)) $(if $(RUNS),--runs "$(RUNS)")

study: $(RUN)  ## continue the study of docs/study.md (CIFAR10=PATH HOURS=2 FAMILY=minima SLICE=3)
	$(BIN)/python -m benchmarks.study $(STUDY)

study-small: $(RUN)  ## train, measure and compare the minima of docs/study-small.md (CIFAR10=PATH)
	$(BIN)/python -m benchmarks.study_small $(if $(CIFAR10),--data "$(CIFAR10)")

bench: $(RUN)  ## run the benchmarks
	$(BIN)/python -m benchmarks --json bench.json

audit: $(DEV)  ## check the locked packages for known vulnerabilities
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"

lock:  ## update the lock files (needs uv)
	$(COMPILE) --upgrade --extra test --extra lint --extra docs --extra ray --extra slurm --extra audit -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock --extra test -o requirements-test.lock
	$(COMPILE) -c requirements-dev.lock --extra build -o requirements.lock

clean:  ## remove everything that make created, but not your runs
	rm -rf $(VENV) build dist site .*_cache .hypothesis
