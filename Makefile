# Two commands suffice: `make demo` and `make test`. Each makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := $(VENV)/.ready
DEV := $(VENV)/.dev
SPARK := $(VENV)/.spark
# A process has one Spark: these hold one as long as they run, each in a process of its own.
OWN_SPARK := tests/engines/test_catalogue.py tests/engines/test_pipeline.py

.PHONY: demo test slow engines check lint types contracts bench bench-scale bench-collect faults lock clean help

help: ## Says what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Jingzhe needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(READY)
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(SPARK): requirements-spark.lock $(DEV)
	$(INSTALL) --require-hashes -r requirements-spark.lock
	@touch $@

demo: $(READY) ## A year of a grocer: who went quiet, who is about to; writes a report and a list
	$(BIN)/jingzhe demo

test: $(DEV) ## The quick tests, 12 minutes; the others are make slow, make engines and make faults
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not browser and not spark"

slow: $(DEV) ## In a real browser, on large data, killed in the middle: 15 minutes
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "(slow or browser) and not spark" --ignore=tests/faults

engines: $(SPARK) ## Every query and the whole pipeline on DuckDB and on Spark: local, a cluster, Spark Connect; 15 minutes
	$(BIN)/python -m pytest tests/store/engine tests/engines -m spark $(patsubst %,--ignore=%,$(OWN_SPARK))
	$(BIN)/python -m pytest -n 2 --dist loadfile $(OWN_SPARK)

check: $(DEV) lint types contracts ## Style, types and imports

lint: $(DEV) ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## Types
	$(BIN)/mypy

contracts: $(DEV) ## Imports go one way
	$(BIN)/lint-imports

bench: $(DEV) ## Speed, as ratios against named peers in one run; prints JSON lines
	$(BIN)/python -m bench

bench-scale: $(SPARK) ## Ten times the events again and again, on DuckDB, on Spark and on a cluster; prints JSON lines
	$(BIN)/python -m bench.scale

bench-collect: $(DEV) ## Collection: durable requests against a bare handler, with the drain, freshness; prints JSON lines
	$(BIN)/python -m bench.collecting

faults: $(DEV) ## Kills writers, collectors and workers hundreds of times and balances the books
	$(BIN)/python -m pytest tests/faults

lock: $(DEV) ## Writes the lock files anew from pyproject.toml: to run it, to work on it, to run Spark beside it
	$(LOCK) --upgrade --extra install --extra demo --extra notebook --extra link --extra trace --extra dev pyproject.toml -o requirements-dev.lock
	$(LOCK) --upgrade --extra install --extra demo -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(LOCK) --upgrade --extra spark -c requirements-dev.lock pyproject.toml -o requirements-spark.lock

clean: ## Removes what the commands made
	rm -rf $(VENV) jingzhe-demo bench/.data .mypy_cache .ruff_cache .import_linter_cache .hypothesis
