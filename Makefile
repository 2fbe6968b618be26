# `make run` and `make test` are all a newcomer needs; everything else is for contributors.
PYTHON ?= python3
FILE ?= README.md
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test lint schema soak model bench bench-tiny bench-recovery clean

run: $(INSTALLED)
	@$(BIN)/copydesk demo "$(FILE)"

test: $(INSTALLED) lint schema
	@$(BIN)/coverage erase
	@PLAN_ROWS=1000000 $(BIN)/python -m pytest -n 2 --cov --cov-report=
	@$(BIN)/coverage report

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# A database migrated from nothing has to be what the models say, and keep projects apart.
schema: $(INSTALLED)
	@rm -rf .copydesk/check
	@$(BIN)/copydesk --home .copydesk/check --dev db check
	@$(BIN)/copydesk --home .copydesk/check --dev doctor --isolation

# Random faults over three workers, with every promise checked at the end; make soak SECONDS=3600.
SECONDS ?= 600
SEED ?= $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
soak: $(INSTALLED)
	@$(BIN)/python -m tests.soak --seconds $(SECONDS) --seed $(SEED)

# The life of an execution in every order of events; needs Debian's spin and a C compiler.
model:
	@docs/model/check

# What copydesk costs, beside other ways to do the same; a quarter of an hour on two quiet cores;
# writes benchmarks/results.md. bench-tiny only shows that all of it still runs.
bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks

bench-tiny: $(INSTALLED)
	@$(BIN)/python -m benchmarks --tiny

# How fast a killed worker's executions run again; writes benchmarks/recovery.md.
bench-recovery: $(INSTALLED)
	@$(BIN)/python -m benchmarks.recovery

# Installed once, and again when the project's own description of itself changes.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("copydesk needs CPython 3.11 or newer; this is %s; try make PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@# setuptools would warn that an editable install finds packages in the checkout; it should.
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[llm,dev-servers]' --group test
	@touch $@

clean:
	rm -rf $(VENV) .tools .copydesk build dist *.egg-info .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
