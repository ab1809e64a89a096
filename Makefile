# `make serve` and `make test` need Debian (or macOS), Python >= 3.11 and make; all else they install.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROOMS := router supervisors transports

# A moved folder or an upgraded Python leaves an environment that no longer runs: begin anew.
ifneq ($(shell cat .venv/made 2>/dev/null && $(BIN)/python -c "" 2>/dev/null && echo runs),$(CURDIR) runs)
$(shell rm -f .venv/made .venv/*.stamp)
endif

# Side by side, each with its output in one piece (the make of macOS is too old for that).
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs 3 \
  $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Tests on all cores. A file stays in one process, which starts its shared routers once; files go
# in their order, so that the short ones at the end fill what the long ones leave.
ON_ALL_CORES := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: serve test quick check lint style async units types contracts format coverage bench \
  bench-peers bench-search bench-tokens chaos conformance peers lock deb clean

serve: .venv/serve.stamp
	@$(BIN)/python -m compileall -q $(ROOMS)
	@command -v mcp-router >/dev/null || printf "%s\n" "To have mcp-router on your PATH:" \
	  "  mkdir -p ~/.local/bin && ln -sf $(CURDIR)/$(BIN)/mcp-router ~/.local/bin/" ""
	$(BIN)/mcp-router serve --transport http --transport sse

test: check peers
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m pytest $(ON_ALL_CORES)

quick: .venv/dev.stamp
	@$(SIDE_BY_SIDE) units types style contracts

check: .venv/dev.stamp
	@$(SIDE_BY_SIDE) types lint contracts

units: .venv/dev.stamp
	$(BIN)/python -m pytest --quiet --ignore=tests/e2e $(ON_ALL_CORES)

lint: style async

style: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/pyright

# What is imported is declared in pyproject.toml, and what is declared is used; only tests and
# benchmarks may import what is for development.
contracts: .venv/dev.stamp
	$(BIN)/lint-imports
	$(BIN)/deptry --no-ansi $(ROOMS)
	$(BIN)/deptry --no-ansi tests benchmarks --exclude tests/peers --exclude benchmarks/peers \
	  --ignore DEP002,DEP004

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/dev.stamp
	$(BIN)/coverage run -m pytest -m "not e2e"
	$(BIN)/coverage report --skip-covered --show-missing

bench: .venv/dev.stamp
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m benchmarks

# The same beside other proxies, each in an environment of its own. One that cannot be installed here
# is left out, in one line that says why.
bench-peers: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs 3 $(MEASURED_NPM) $(MEASURED_PYTHON)
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m benchmarks --peers

# How well tools are found among those of real servers, and what finding and calling them costs a model,
# view by view. Both write the tables of docs/search.md with: make bench-search bench-tokens WRITE=--write-docs
bench-search: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs 2 $(SEARCHED_NPM) .cache/bench/peers/fastmcp/installed \
	  $(SEARCHED_EXTRA)
	$(BIN)/python -m benchmarks.search $(WRITE)

bench-tokens: .venv/dev.stamp
	@$(MAKE) --no-print-directory $(SEARCHED_NPM)
	@$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m benchmarks.tokens $(WRITE)

# Every fault that is promised to be survived, one after the other, with a table of what was measured.
chaos: .venv/dev.stamp
	CHAOS=1 $(BIN)/python -m pytest -m fault tests/e2e

# Writes the tables of docs/conformance.md; `make test` compares them with what it measures.
conformance: peers
	WRITE_DOCS=1 $(BIN)/python -m pytest tests/e2e/test_conformance.py tests/e2e/test_conformance_client.py

# --- flake8-async: slow, so it gets only files with something asynchronous in them, and of those only
# --- what has changed since they last were good. Off: ASYNC109 (`*_s` parameters are data), ASYNC114
# --- and ASYNC128 (they do not see a `task_status` that is handed on); in the listeners ASYNC910 and
# --- 912 (each request has checkpoints enough where it is received and sent); in tests those about
# --- fakes that have to be async.

ASYNC_STAMPS := $(patsubst %,.venv/async-%.stamp,rooms listeners tests)
ASYNC_OFF := ASYNC109,ASYNC114,ASYNC128
async_in = $(shell grep -rlw --include="*.py" --exclude-dir=peers async $(1))

async: $(ASYNC_STAMPS)

.venv/async-rooms.stamp: $(filter-out transports/listen/%,$(call async_in,$(ROOMS)))
.venv/async-listeners.stamp: $(call async_in,transports/listen)
.venv/async-listeners.stamp: ASYNC_OFF := $(ASYNC_OFF),ASYNC910,ASYNC912
.venv/async-tests.stamp: $(call async_in,tests benchmarks)
.venv/async-tests.stamp: ASYNC_OFF := $(ASYNC_OFF),ASYNC124,ASYNC9

# With another linter all files are new to it.
$(ASYNC_STAMPS): .venv/dev.stamp Makefile
	@printf "%s\n" $(filter %.py,$(if $(filter-out %.py,$?),$^,$?)) | \
	  xargs -P 4 -n 8 $(BIN)/flake8-async --enable ASYNC --disable $(ASYNC_OFF)
	@touch $@

# --- The environment. Each stamp is made last, so an interrupted step is done again. ---

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Name one, such as: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. Run: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@echo "$(CURDIR)" > $@

.venv/serve.stamp: requirements.txt pyproject.toml | .venv/made
	@$(BIN)/python deploy/install_packages.py requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/serve.stamp
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# --- Clients and servers that others made, for the end-to-end tests (tests/e2e/peers.py) ---

NPM_PEERS := tests/peers/node_modules/.installed
PYTHON_PEERS := $(patsubst tests/peers/%.txt,.cache/peers/%/installed,$(wildcard tests/peers/*.txt))
SDK_EXAMPLES := .cache/peers/sdk-examples/source/unpacked
DEBIAN_PEERS := .cache/peers/debian/installed

peers: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs 3 $(NPM_PEERS) $(PYTHON_PEERS) $(SDK_EXAMPLES) \
	  $(DEBIAN_PEERS)

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

# The examples of the Python SDK are only in its source package. pip asks the package's build backend
# for metadata before it keeps what it downloaded, so the lock has that backend too.
$(SDK_EXAMPLES): .cache/peers/sdk-examples/installed
	@rm -rf $(@D) && mkdir $(@D)
	@sed -n '/^mcp==/,/[^\\]$$/p' tests/peers/sdk-examples.txt > $(@D)/mcp.txt
	$(PIP) --python .cache/peers/sdk-examples/bin/python download --dest $(@D) --require-hashes \
	  --no-deps --no-binary mcp --no-build-isolation -r $(@D)/mcp.txt
	@tar -xzf $(@D)/mcp-*.tar.gz -C $(@D) --strip-components 1
	@touch $@

# The reverse proxies, logrotate and a browser, as the distribution packs them. They are unpacked beside
# the tests and not installed, so that neither root nor this machine's own services matter.
$(DEBIAN_PEERS): tests/peers/unpack_debian.sh tests/peers/debian.packages
	@echo "apt-get download (tests/peers/debian.packages)"
	@if command -v apt-get >/dev/null && \
	  tests/peers/unpack_debian.sh $(abspath $(@D)) $$(cat tests/peers/debian.packages); then \
	  touch $@; \
	elif [ -n "$$CI" ]; then \
	  echo "apt-get has not got them, and in CI these peers must be met" >&2; exit 1; \
	else \
	  echo "apt-get has not got them: tests meet only what this machine has installed"; \
	fi

# --- The proxies that `make bench-peers` measures (benchmarks/proxies) ---

MEASURED_NPM := benchmarks/peers/node_modules/.installed
MEASURED_PYTHON := $(patsubst benchmarks/peers/%.txt,.cache/bench/peers/%/installed, \
  $(wildcard benchmarks/peers/*.txt))

$(MEASURED_NPM): benchmarks/peers/package-lock.json benchmarks/peers/.npmrc
	@mkdir -p .cache/bench
	@if ! command -v npm >/dev/null; then \
	  echo "Left out: the npm proxies, since this machine has no npm"; \
	elif (cd benchmarks/peers && npm ci --loglevel=error) 2>.cache/bench/npm.log; then \
	  touch $@; \
	else \
	  echo "Left out: the npm proxies: $$(tail -n 1 .cache/bench/npm.log)"; \
	fi

.cache/bench/peers/%/installed: benchmarks/peers/%.txt | .venv/made
	@$(BIN)/python -m venv --clear --without-pip $(@D)
	@if $(PIP) --python $(@D)/bin/python install --require-hashes -r $< 2>$(@D)/log; then \
	  touch $@; \
	else \
	  echo "Left out: $*: $$(grep ERROR $(@D)/log | tail -n 1)"; \
	fi

# --- The servers whose tools `make bench-search` looks for: 2 GB, so outside of the sources ---

SEARCHED := benchmarks/search/servers
SEARCHED_NPM := .cache/bench-search/node_modules/.installed

$(SEARCHED_NPM): $(SEARCHED)/package-lock.json $(SEARCHED)/.npmrc
	@command -v npm >/dev/null || { echo "The servers are npm packages, and this machine has no npm" >&2; exit 1; }
	@mkdir -p .cache/bench-search && \
	  cp $(SEARCHED)/package.json $(SEARCHED)/package-lock.json $(SEARCHED)/.npmrc .cache/bench-search/
	@echo "npm ci ($(SEARCHED)): some minutes"
	@cd .cache/bench-search && npm ci --ignore-scripts --loglevel=error && touch node_modules/.installed

# The packages of the extra `semantic`, beside those of .venv.
SEARCHED_EXTRA := .cache/bench-search/semantic/installed

$(SEARCHED_EXTRA): benchmarks/search/semantic.txt | .venv/made
	@rm -rf $(@D) && mkdir -p $(@D)
	@if $(PIP) install --target $(@D) --require-hashes -r $< 2>.cache/bench-search/semantic.log; then \
	  touch $@; \
	else \
	  echo "Left out: semantic: $$(grep ERROR .cache/bench-search/semantic.log | tail -n 1)"; \
	fi

# --- Locks, without index lines, so that they say nothing of where packages come from. They move
# --- only as far as they must; to move all of them on: make lock UPGRADE=--upgrade

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
  --python-version 3.11 $(UPGRADE)

lock: .venv/dev.stamp
	$(LOCK) --group build pyproject.toml -o requirements.txt
	$(LOCK) --extra code --extra otel --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@# With hashes, pip takes the pin of a package with extras only if the lock names the extras.
	for peer in tests/peers/*.in benchmarks/peers/*.in benchmarks/search/*.in; do \
	  $(LOCK) --no-strip-extras $$peer -o $${peer%.in}.txt || exit 1; done
	for peers in tests/peers benchmarks/peers $(SEARCHED); do \
	  (cd $$peers && npm install --package-lock-only --loglevel=error) || exit 1; done

# For the Debian that this is, and its own Python.
deb: .venv/serve.stamp
	$(BIN)/python deploy/debian/build_package.py

clean:
	rm -rf .venv .cache tests/peers/node_modules benchmarks/peers/node_modules
