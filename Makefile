# Everything that is done with a checkout; `make` alone lists it.
#
# The first target that needs .venv builds it from the lock file, later ones reuse it.
# The user's pip settings (index, proxy, certificates) apply: none is overridden here.

PYTHON ?= python3
ARGS ?=
WORKERS ?= auto

BIN := .venv/bin
READY := .venv/.ready
LOCK := requirements/dev.txt
LOWEST := .venv-lowest
LOWEST_PINS := requirements/lowest.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo test fast test-lowest matrix coverage audit chaos check fmt docs screenshots bench scale soak dist lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Start Postgres and Temporal, run the sample workflow, show its timeline
	@$(BIN)/pulse demo $(ARGS)

# Each worker process starts servers of its own; --pdb and -s need WORKERS=0.
test: $(READY) ## Run the whole test suite in parallel (ARGS=path, WORKERS=0: in one process)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

fast: $(READY) ## Run the unit tests and the tutorial
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(or $(ARGS),tests/unit tests/tutorial)

test-lowest: $(LOWEST)/.ready ## Run unit and acceptance tests on the lowest versions that are allowed
	@$(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(or $(ARGS),tests/unit tests/acceptance)

matrix: ## Run unit and acceptance tests on each Python and Postgres that is installed
	@.ci/matrix $(ARGS)

coverage: $(READY) ## Show which branches of model, workflows, services and store no test takes
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report term-missing:skip-covered \
	  $(or $(ARGS),tests/unit tests/acceptance tests/integration)

audit: $(READY) ## Change the code that decides in small ways: its unit tests must notice each
	@$(BIN)/python -m tests.audit

chaos: $(READY) ## Kill workers, Postgres and Temporal for a minute, then count what is wrong
	@$(BIN)/python -m tests.chaos $(ARGS)

check: $(READY) ## Lint, format, types, rooms, dependencies, house rules; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/python -m pytest -qq tests/unit/test_house.py

fmt: $(READY) ## Format, and fix what the linter can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(READY) ## Write the reference pages anew from the docstrings
	$(BIN)/python docs/build_reference.py

screenshots: $(READY) ## Take the pictures of the README anew (needs Chromium)
	$(BIN)/python docs/build_screenshots.py

bench: $(READY) ## Measure against hand-written Temporal workflows (ARGS=--short: three minutes)
	@$(BIN)/python -m tests.bench $(ARGS)

scale: $(READY) ## Compare a million runs with ten thousand: 12 GB of disk (ARGS='--runs 100000')
	@$(BIN)/python -m tests.scale $(ARGS)

soak: $(READY) ## Work for ten minutes and show what grows (ARGS='--seconds 60')
	@$(BIN)/python -m tests.soak.soak $(ARGS)

dist: $(READY) ## Build wheel and source; install each in a clean environment and run the demo
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	@for made in dist/*.whl dist/*.tar.gz; do \
	  echo "Trying $$made ..." && $(PYTHON) -m venv --clear .venv-dist \
	  && .venv-dist/bin/python -m pip --disable-pip-version-check --no-input install --quiet "$$made[cli,embedded]" \
	  && (cd dist && ../.venv-dist/bin/pulse demo </dev/null) || exit 1; \
	done

# Hashes must be those of the index itself, so what a pip.conf adds to it is left out here.
# Compiled with the oldest Python that we support: newer ones need a subset.
lock: ## Renew the lock file with the newest versions that pyproject.toml allows
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] == (3, 11) else "make lock needs Python 3.11: make lock PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip --disable-pip-version-check install --quiet 'pip-tools>=7.6,<8'
	PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= CUSTOM_COMPILE_COMMAND='make lock' \
	.venv-lock/bin/pip-compile --quiet --upgrade --rebuild --extra dev --build-deps-for editable \
	  --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --output-file $(LOCK) pyproject.toml

clean: ## Remove what make and the tools built (not .pulse, which holds data)
	rm -rf .venv .venv-* .hypothesis .import_linter_cache .pytest_cache build dist
	find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Pulse needs Python 3.11 or newer: make PYTHON=/path/to/python")'
	@echo 'Setting up .venv (once; about 200 MB to download) ...'
	@$(PYTHON) -m venv .venv
	@$(PIP) install --quiet --require-hashes --requirement $(LOCK)
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# pip warns that tools of the lock file, none of which these tests use, want newer versions.
$(LOWEST)/.ready: pyproject.toml $(LOCK) $(LOWEST_PINS)
	@$(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --requirement $(LOCK)
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --requirement $(LOWEST_PINS)
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# For .ci/matrix: the versions of the lock file, on another Python.
.venv-3%/.ready: pyproject.toml $(LOCK)
	@python3$* -m venv .venv-3$*
	@.venv-3$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --requirement $(LOCK)
	@.venv-3$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
