# `make run` serves on http://127.0.0.1:8000; CI runs `make test unit-no-cache`. All targets prepare .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
NO_CACHE_TESTS := tests/console tests/control tests/protocols tests/sdk tests/test_side_effects.py
# uv trusts the certificates of the system, as pip does, here and in the tests of the package
export UV_NATIVE_TLS = true
export UV_SYSTEM_CERTS = true

.PHONY: run install test check fmt unit unit-no-cache mutants bench clean

run: $(VENV)/.run
	$(BIN)/aione-mock serve --host $(HOST) --port $(PORT)

install: $(VENV)/.dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# uv, because pip takes minutes to resolve this many SDKs
$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]'
	touch $@ $(VENV)/.run

test: check unit

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: install
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# no answer, journal or ledger may depend on the cache, so tests that send many requests pass without it
unit-no-cache: install
	AIONE_MOCK_CACHE=false $(BIN)/pytest -n 3 --dist worksteal $(NO_CACHE_TESTS)

clean:
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache dist

mutants: install
	$(BIN)/python scripts/kill_rate.py

bench: install
	$(BIN)/python -m benchmarks --write
