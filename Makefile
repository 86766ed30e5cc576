# What a person does here. `make demo` and `make test` set up everything they need.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/forensics
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: setup demo test faults matrix check fix bench docs clean

setup: $(VENV)/.run  ## what the program needs, and nothing else

demo: $(VENV)/.run  ## a whole case on the practice target: reports/DEMO-0001.pdf and .html
	$(RUN) lab demo

test: $(VENV)/.dev check  ## checks and tests, a whole case on the practice target included
	$(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not faults and not matrix"

faults: $(VENV)/.dev  ## every fault row, the guest's included: an hour or more
	$(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "faults"

matrix: $(VENV)/.dev  ## suites, flavours, accounts: hours
	$(VENV)/bin/pytest -m "matrix"

check: $(VENV)/.dev  ## style and types
	$(VENV)/bin/ruff format --check forensics tests benchmarks
	$(VENV)/bin/ruff check forensics tests benchmarks
	$(VENV)/bin/mypy

fix: $(VENV)/.dev  ## mend what can be mended by itself
	$(VENV)/bin/ruff format forensics tests benchmarks
	$(VENV)/bin/ruff check --fix forensics tests benchmarks

bench: $(VENV)/.dev  ## ratios against the named peers
	$(VENV)/bin/python benchmarks/run.py

docs: $(VENV)/.dev  ## write the command reference again
	$(VENV)/bin/python docs/reference.py

lock: $(VENV)/.dev  ## resolve the Python packages again
	$(VENV)/bin/python -m pip install -q uv
	$(VENV)/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml build-requirements.in -o requirements.lock
	$(VENV)/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev --extra cluster --extra exchange pyproject.toml build-requirements.in -o requirements-dev.lock

clean:  ## remove what was set up; cases, profiles and reports stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

.debian: debian-packages.txt setup-debian
	./setup-debian
	@touch $@

$(VENV)/.run: .debian requirements.lock pyproject.toml
	./setup-python $(PYTHON) $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: .debian requirements-dev.lock pyproject.toml
	./setup-python $(PYTHON) $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/.run
