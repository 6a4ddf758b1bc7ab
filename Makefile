# make setup   an environment of this project's own, in .venv; the others do it first where they need it
# make demo    200 returns through the whole house; wipes the last demo (ARGS=--no-fresh goes on with it)
# make desk    decide what the demo left for people (ARGS="--as NAME": as one of the demo's people)
# make test    the tests (ARGS="-k planner -x" for pytest, JOBS=4 at a time; 2 if not given)
# make check   style, types, import floors and the tests (ARGS and JOBS as above)
# make bench   measures speed and puts each figure beside its floor
# make storm-short  200 cases and 10 kills on both databases: nothing lost, nothing twice; and what if the ledger were off
# make storm   10,000 cases and 500 kills on PostgreSQL; 1,000 cases that wait while the next release comes: half an hour
# make api-fuzz  sends the API whatever its OpenAPI document allows and forbids, for ten minutes, as each role
# make mutants breaks the gate in 23 ways, one at a time; the tests and the database have to notice each
# make lock    pins requirements anew (UPGRADE=1: the newest)
# make clean   removes what make made; data in .countersign stays
#
# Needs Python 3.11 or later, make and git. PYTHON names another one: make setup PYTHON=python3.13

PYTHON ?= python3
ARGS ?=
JOBS ?= 2

FLOORS := core ledger engine policies tools agents graphs serving desk evals
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
READY := $(VENV)/.ready
UV := $(VENV)/.uv

export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup bytecode demo desk test check bench storm-short storm api-fuzz mutants lock clean

help:
	@sed -n '/^# make/s/^# //p; /^# Needs/s/^# //p' Makefile

setup: bytecode
	@echo "Ready: .venv/bin/countersign --help"

demo: bytecode
	@$(BIN)/countersign demo $(ARGS)
	@command -v countersign >/dev/null || echo "  . $(BIN)/activate                        so that countersign is found"

desk: bytecode
	@$(BIN)/countersign demo desk $(ARGS)

test: $(READY)
	$(PYTEST) $(ARGS)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) $(ARGS)

bench: bytecode
	@$(BIN)/python -m benchmarks $(ARGS)

storm-short: $(READY)
	$(BIN)/python -m tests.storms --cases 200 --strikes 10
	$(BIN)/python -m tests.storms --cases 200 --strikes 10 --ledger-off
	$(BIN)/python -m tests.storms --cases 24 --strikes 3 --business returns

storm: $(READY)
	$(BIN)/python -m tests.storms --cases 10000 --strikes 500 --database postgresql --late 0.08 --minutes 40 $(ARGS)
	COUNTERSIGN_WAITING=1000 $(BIN)/python -m pytest -q tests/storms/test_deploy.py

api-fuzz: $(READY)
	$(BIN)/python -m tests.support.api_fuzz $(ARGS)

mutants: $(READY)
	$(BIN)/python -m tests.support.mutants

clean:
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf benchmarks/out evals/out
	find $(FLOORS) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: the system's Python makes it, pip brings uv by its hash, uv brings the rest by theirs.
# Bytecode is compiled by make, because a machine may be set to write none: it would compile 1,500 modules
# anew at every start.

$(UV): requirements/uv.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or later:" \
	  "apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed," \
	  "and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make setup PYTHON=python3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) can't make an environment: its venv" \
	  "module is missing. Install it: apt-get install python3-venv" >&2; exit 2; }
	@echo "Making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(READY): $(UV) requirements/app.txt pyproject.toml
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements/app.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	@touch $@

bytecode: $(READY)
	@$(BIN)/python -m compileall -q $(FLOORS)

# One file for each environment, with hashes and without addresses. `app` runs anywhere; the others hold
# wheels for Linux on x86-64.

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
  --python $(BIN)/python --python-version 3.11 --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: $(UV)
	echo uv | $(COMPILE) --no-config -o requirements/uv.txt - >/dev/null
	$(COMPILE) --no-config --extra dev --extra proofs --extra postgres --extra bus \
	  -o requirements/app.txt pyproject.toml >/dev/null
	$(COMPILE) --constraints requirements/app.txt --extra dev --extra evals --extra proofs --extra postgres \
	  --extra bus --extra vision -o requirements/full.txt pyproject.toml >/dev/null
	$(COMPILE) --extra gpu -o requirements/gpu.txt pyproject.toml >/dev/null
	$(COMPILE) --extra speech -o requirements/speech.txt pyproject.toml >/dev/null
