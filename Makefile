# Two commands for a newcomer: `make demo`, `make test`. Each creates the environment by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a process per core, of one thread each; where a test has more, they sleep while they wait. Compiled modules are kept, whatever the
# environment says: tests start many processes, each of which would compile all of TCKR again
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo test check docs clean
.DELETE_ON_ERROR:

demo: $(READY)  ## set up and run the complete pipeline on handwritten digits
	$(BIN)/tckr demo

test: $(READY)  ## set up and run the tests
	$(PYTEST)

check: $(READY)  ## everything that must hold before a commit: format, lint, types, imports, generated docs, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(PYTEST)

docs: $(VENV)/.docs  ## write the generated pages of docs/ and build the site into site/; a broken link is an error
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 13) else \
	f"found Python {v[0]}.{v[1]}; TCKR needs 3.11 to 3.13; name one with: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

clean:  ## remove the environment that make made; runs stay: they may hold what nobody can make again
	@test -f $(READY) || { echo "$(VENV) was not made by this Makefile; nothing removed"; exit 1; }
	rm -rf $(VENV)
