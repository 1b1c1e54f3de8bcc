# make serve   run the server for development in a virtual environment of its own
# make test    run the tests          make lint   style, types and import rules
# make coverage   branch coverage of the core    make native   style, lints and tests of the compiled parts
# make sanitize   tests of the compiled parts under AddressSanitizer
# make wheel   build and try the wheels, with and without the compiled parts
# make web     build the demo page    make docs   build the documentation
# make fuzz    fuzz each target for FUZZ_SECONDS

# The first Python that runs and is new enough.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
FUZZ_SECONDS ?= 60

SOURCES := $(shell find sansio trio_server -name '*.py' -o -path '*/static/*' -type f)
PAGE := trio_server/static/index.html
PAGE_PACKAGES := examples/web/node_modules/.package-lock.json
CLIENT_PACKAGES := tests/interop/node_modules/.package-lock.json
PAGE_SOURCES := examples/web/build.mjs $(wildcard examples/web/src/*)

.PHONY: serve test interop-deps coverage lint native sanitize wheel web demo docs fuzz clean

# Parsed anew once the page is there, since what is installed has the page in it.
serve: demo
	@$(MAKE) -s --no-print-directory $(VENV)/.serve
	@exec $(BIN)/atrium dev $(ARGS)

test: $(VENV)/.test demo interop-deps
	$(BIN)/python -m pytest $(ARGS)

# The packages of the JavaScript and Go clients, where npm and Go are there; without them those tests say so and are skipped.
interop-deps:
	@if command -v npm >/dev/null; then $(MAKE) -s --no-print-directory $(CLIENT_PACKAGES); fi
	@if command -v go >/dev/null; then \
		cd tests/interop/go && go build -o /dev/null . || echo "the Go client was not built; its test says what it needs"; \
	fi

$(CLIENT_PACKAGES): tests/interop/package.json tests/interop/package-lock.json
	cd tests/interop && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The core's branch coverage, by the tests that need no other project's clients.
coverage: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not interop and not net and not slow" tests/sansio tests/kernel tests/sim tests/corpus $(ARGS)
	$(BIN)/coverage report --skip-covered --fail-under=90

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs a Rust toolchain, as building the compiled parts does; without one they are left out.
native: $(BIN)/python
	@if command -v cargo >/dev/null; then \
		cd native && cargo fmt --all --check && \
		PYO3_PYTHON=$(abspath $(BIN))/python cargo clippy --quiet --workspace --all-targets -- -D warnings && \
		cargo test --quiet --workspace --no-default-features && \
		{ [ "$$(uname)" != Linux ] || { cd ../bench/floor && cargo fmt --check && \
		cargo clippy --quiet --all-targets --target-dir ../../native/target -- -D warnings && \
		cargo test --quiet --target-dir ../../native/target; }; }; \
	else echo "cargo is not here: the compiled parts are left out"; fi

sanitize: $(VENV)/.test
	@.ci/sanitize $(BIN)/python

wheel: $(BIN)/python demo
	@$(BIN)/python .ci/wheels dist

web: $(PAGE)

$(PAGE): $(PAGE_PACKAGES) $(PAGE_SOURCES)
	cd examples/web && npm run --silent build

$(PAGE_PACKAGES): examples/web/package.json examples/web/package-lock.json
	@command -v npm >/dev/null || { echo "make web needs Node.js 18 and npm (Debian: apt install nodejs npm)"; exit 1; }
	cd examples/web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The page where it can be built; the server runs without it as well.
demo:
	@if command -v npm >/dev/null; then \
		$(MAKE) -s --no-print-directory web || echo "The demo page was not built, for the reason above. The server starts without it."; \
	elif [ ! -e $(PAGE) ]; then \
		echo "npm is not here: the demo page is left out (to have it: apt install nodejs npm, then make web)"; \
	fi

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

fuzz: $(VENV)/.fuzz
	@for target in fuzz/fuzz_*.py; do \
		name=$$(basename $$target .py); found=fuzz/found/$${name#fuzz_}; mkdir -p $$found; \
		echo "== $$name"; \
		$(BIN)/python $$target -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=fuzz/found/$$name- \
			$$found fuzz/corpus/$${name#fuzz_} || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist trio_server/static examples/web/node_modules tests/interop/node_modules docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# The environment. What `make test` installs (the checkout itself, editable) serves for `make serve` too.

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { \
		echo "Atrium needs Python 3.11 or newer, and finds none. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.serve: $(BIN)/python pyproject.toml $(SOURCES)
	@if [ ! -e $(VENV)/.test ]; then echo "installing"; $(BIN)/python -m pip install --quiet .; fi
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.docs $(VENV)/.fuzz: $(VENV)/.%: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
