# Two commands suffice: `make demo` and `make test`. Each makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check lint types contracts fast bench lock clean help

help: ## Says what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Jingzhe needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## A year of a grocer: who went quiet, who is about to; writes a report and a list
	$(BIN)/jingzhe demo

test: $(READY) ## All tests but the longest
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(READY) lint types contracts fast ## Everything that is quick, cheapest first

lint: $(READY) ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Types
	$(BIN)/mypy

contracts: $(READY) ## Imports go one way
	$(BIN)/lint-imports

fast: $(READY) ## The quick tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not browser"

bench: $(READY) ## Speed, as ratios against named peers in one run; prints JSON lines
	$(BIN)/python -m bench

lock: $(READY) ## Writes requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras --no-header --upgrade pyproject.toml -o requirements.lock

clean: ## Removes what the commands made
	rm -rf $(VENV) jingzhe-demo bench/.data .mypy_cache .ruff_cache .import_linter_cache .hypothesis
