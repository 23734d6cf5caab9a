# `make run` serves on http://127.0.0.1:8000; CI runs `.ci/run`. All targets prepare .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
DEPENDENCY_TESTS := tests/sdk/test_openai.py tests/sdk/test_anthropic.py tests/sdk/test_google.py \
  tests/recorder/test_commands.py tests/test_uvicorn_names.py tests/test_settings.py tests/test_yaml_files.py \
  tests/test_validation.py tests/test_realistic.py tests/test_input_images.py tests/store/test_connection.py
SLOW_TESTS ?= tests
NO_CACHE_TESTS := tests/console tests/control tests/protocols tests/sdk tests/test_side_effects.py
STORE ?= redis
STORE_TESTS := tests/control tests/console tests/faults tests/protocols tests/sdk tests/test_rate_limits.py \
  tests/test_side_effects.py tests/test_auth.py tests/test_again.py tests/test_prefer.py tests/test_conversations.py \
  tests/test_disconnect.py tests/test_responses.py tests/test_embeddings.py tests/test_what_it_says.py \
  tests/test_own_world.py tests/test_credentials.py tests/test_cors.py
# uv trusts the certificates of the system, as pip does, here and in the tests of the package
export UV_NATIVE_TLS = true
export UV_SYSTEM_CERTS = true

.PHONY: help run install web screenshots test check fmt unit coverage unit-no-cache browser store slow dependencies docs mutants proof bench clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{printf "%-15s %s\n", $$1, $$2}'

run: $(VENV)/.run  ## serve on http://127.0.0.1:8000; PORT=8001 for another port
	$(BIN)/python scripts/build_page.py --optional
	$(BIN)/aione-mock serve --host $(HOST) --port $(PORT)

install: $(VENV)/.dev  ## install everything that development needs into .venv, and build the page
	@$(BIN)/python scripts/build_page.py --optional

# the page under /_mock/ui; the other targets build it too where they can, if its sources have changed
web: $(VENV)/bin/python  ## build the page under /_mock/ui
	$(BIN)/python scripts/build_page.py

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

screenshots: install  ## take the pictures in docs/images, with Chromium
	$(BIN)/python scripts/screenshots.py

test: check unit  ## check, then all tests but the slow ones, and those of the page and of many workers

check: install  ## format, lint, types, order of imports, security, the page
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive aione_mock -ll
	$(BIN)/python scripts/build_page.py --check

fmt: install  ## correct format and imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	! command -v npm >/dev/null || npm --prefix web run --silent format

# a busy machine can fail a test that waits for something: what fails runs again, alone, and fails if it fails again
AGAIN = $(BIN)/pytest --last-failed --last-failed-no-failures none

unit: install  ## all tests but the slow ones, and those of the page and of many workers
	$(BIN)/pytest -n 3 --dist worksteal -m 'not slow' --ignore tests/store --ignore tests/browser \
	  --durations 12 --durations-min 5 || $(AGAIN) -m 'not slow' --ignore tests/store --ignore tests/browser

browser: install  ## tests of the page, in Chromium
	$(BIN)/pytest -n 3 --dist worksteal -m 'not slow' tests/browser || $(AGAIN) -m 'not slow' tests/browser

coverage: install  ## the same, with the lines and branches that they run; half as long again
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist worksteal -m 'not slow'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# no answer, journal or ledger may depend on the cache, so tests that send many requests pass without it
unit-no-cache: install  ## tests that send many requests, without the cache
	AIONE_MOCK_CACHE=false $(BIN)/pytest -n 3 --dist worksteal -m 'not slow' $(NO_CACHE_TESTS) \
	  || AIONE_MOCK_CACHE=false $(AGAIN) -m 'not slow' $(NO_CACHE_TESTS)

# STORE=front runs the same on one server in memory, which proves the tests
store: install  ## tests of many workers, then those of what a run may change on two servers that share a Redis
	$(BIN)/pytest -n 3 --dist worksteal -m 'not slow' tests/store || $(AGAIN) -m 'not slow' tests/store
	$(BIN)/pytest -n 3 --dist worksteal --store $(STORE) -m 'not slow' --ignore tests/control/test_ready.py $(STORE_TESTS) \
	  || $(AGAIN) --store $(STORE) -m 'not slow' --ignore tests/control/test_ready.py $(STORE_TESTS)

# `.ci/run` names those that CI runs
slow: install  ## soaks, many runs, other programs; SLOW_TESTS=tests/x.py for some of them, SLOW_JOBS=2 for two at once
	$(BIN)/pytest $(if $(SLOW_JOBS),-n $(SLOW_JOBS)) -m slow $(SLOW_TESTS) || $(AGAIN) -m slow $(SLOW_TESTS)

# each in an environment of its own
dependencies: install  ## some tests with the lowest and the newest dependencies that are allowed
	for resolution in lowest-direct highest; do \
	  folder=$$(mktemp -d) && echo "dependencies: $$resolution" \
	  && $(BIN)/uv venv --quiet --python $(BIN)/python $$folder \
	  && $(BIN)/uv pip install --quiet --upgrade --resolution $$resolution --python $$folder/bin/python -e '.[dev]' \
	  && $$folder/bin/python -m pytest -q -n 2 -p no:cacheprovider $(DEPENDENCY_TESTS); \
	  status=$$?; rm -rf $$folder; [ $$status -eq 0 ] || exit $$status; \
	done

clean:  ## remove what was built and installed
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache dist web/dist web/node_modules web/.node

docs: install  ## build the documentation site into site/, in both languages
	$(BIN)/python scripts/build_docs.py

mutants: install  ## how many wrong variants of the mock the checker finds
	$(BIN)/python scripts/kill_rate.py

proof: install  ## measure the checker for docs/explanation/proof.md, an hour; SECTIONS=alarms for a part
	$(BIN)/python scripts/proof.py $(SECTIONS)

bench: install  ## measure speed and memory for benchmarks/results.md
	$(BIN)/python -m benchmarks --write
