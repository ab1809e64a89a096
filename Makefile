# `make serve` and `make test` need Debian (or macOS), Python >= 3.11 and make; all else they install.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROOMS := router supervisors transports

# A moved folder or an upgraded Python leaves an environment that no longer runs: begin anew.
ifneq ($(shell cat .venv/made 2>/dev/null && $(BIN)/python -c "" 2>/dev/null && echo runs),$(CURDIR) runs)
$(shell rm -f .venv/made .venv/*.stamp)
endif

# flake8-async is slow, so it gets only files with something asynchronous in them, on all cores.
# Off: ASYNC109 (`*_s` parameters are data), ASYNC114 and ASYNC128 (they do not see a `task_status`
# that is handed on); in the listeners ASYNC910 and 912 (each request has checkpoints enough where
# it is received and sent); in tests those about fakes that have to be async.
ASYNC_FILES := grep -rlw --include="*.py" --exclude-dir=peers async
ASYNC_LINT := xargs -P 4 -n 8 $(BIN)/flake8-async --enable ASYNC
ASYNC_OFF := ASYNC109,ASYNC114,ASYNC128

.PHONY: serve test check lint types contracts format coverage bench peers lock clean

serve: .venv/serve.stamp
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/mcp-router serve --transport http --transport sse

test: check peers
	$(BIN)/python -m pytest

check: lint types contracts

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(ASYNC_FILES) $(ROOMS) | grep -v transports/listen/ | $(ASYNC_LINT) --disable $(ASYNC_OFF)
	@$(ASYNC_FILES) transports/listen | $(ASYNC_LINT) --disable $(ASYNC_OFF),ASYNC910,ASYNC912
	@$(ASYNC_FILES) tests benchmarks | $(ASYNC_LINT) --disable $(ASYNC_OFF),ASYNC124,ASYNC9

types: .venv/dev.stamp
	$(BIN)/pyright

contracts: .venv/dev.stamp
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/dev.stamp
	$(BIN)/coverage run -m pytest -m "not e2e"
	$(BIN)/coverage report --skip-covered --show-missing

bench: .venv/dev.stamp
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m benchmarks

# --- The environment. Each stamp is made last, so an interrupted step is done again. ---

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Name one, such as: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. Run: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@echo "$(CURDIR)" > $@

.venv/serve.stamp: requirements.txt pyproject.toml | .venv/made
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/serve.stamp
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# --- Clients and servers that others made, for the end-to-end tests (tests/e2e/peers.py) ---

NPM_PEERS := tests/peers/node_modules/.installed
PYTHON_PEERS := $(patsubst tests/peers/%.txt,.cache/peers/%/installed,$(wildcard tests/peers/*.txt))

peers: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs 3 $(NPM_PEERS) $(PYTHON_PEERS)

$(NPM_PEERS): tests/peers/package-lock.json tests/peers/.npmrc
	@if command -v npm >/dev/null; then \
	  echo "npm ci (tests/peers)"; \
	  cd tests/peers && npm ci --loglevel=error && touch node_modules/.installed; \
	elif [ -n "$$CI" ]; then \
	  echo "This machine has no npm, and in CI the npm peers must be met" >&2; exit 1; \
	else \
	  echo "This machine has no npm: the tests that meet npm peers will be skipped"; \
	fi

.cache/peers/%/installed: tests/peers/%.txt | .venv/made
	$(BIN)/python -m venv --clear --without-pip .cache/peers/$*
	$(PIP) --python .cache/peers/$*/bin/python install --require-hashes -r $<
	@touch $@

# --- Locks, without index lines, so that they say nothing of where packages come from. They move
# --- only as far as they must; to move all of them on: make lock UPGRADE=--upgrade

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
  --python-version 3.11 $(UPGRADE)

lock: .venv/dev.stamp
	$(LOCK) --group build pyproject.toml -o requirements.txt
	$(LOCK) --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	for peer in tests/peers/*.in; do $(LOCK) $$peer -o $${peer%.in}.txt || exit 1; done
	cd tests/peers && npm install --package-lock-only --loglevel=error

clean:
	rm -rf .venv .cache tests/peers/node_modules
