# Only python3 (3.11 or newer) and make are assumed; the rest is set up in $(VENV).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -qq: pip prints errors and nothing else. PIP_USER: some machines set it, and no venv allows it.
PIP := PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --no-input install -qq
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
IMAGE = $(shell sed -n 's/^image = "\(.*\)"$$/\1/p' pyproject.toml)
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' src/smtp_oauth_relay/__init__.py)
# A process for each core; one that has run out of tests takes over the next ones of another.
AT_ONCE := --numprocesses auto --dist worksteal
REVISION = $(shell git rev-parse HEAD 2>/dev/null)
MINUTES = 5

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help sandbox run test test-wheel test-all fuzz soak interop suites bench growth check docs format templates image lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

sandbox: $(VENV)/.installed ## the relay with stand-ins for Microsoft, to try it out; LISTEN=0.0.0.0:8025
	@exec $(BIN)/smtp-oauth-relay sandbox $(if $(LISTEN),--listen $(LISTEN))

run: $(VENV)/.installed ## the relay with the settings of the environment
	@exec $(BIN)/smtp-oauth-relay serve

check: $(VENV)/.developer ## every check that runs no test: ruff, mypy, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

docs: $(VENV)/.developer ## the documentation as a site, in site/: every link is checked, nothing is fetched
	$(BIN)/zensical build --strict --clean

test: check ## all checks, all tests with coverage, and the tests of the built wheel
	$(BIN)/pytest $(AT_ONCE) --quiet --durations=15 --cov --cov-report=term
	@$(MAKE) --no-print-directory test-wheel

# The wheel goes into an environment of its own that sees the dependencies in $(VENV), but, as
# Python reads no .pth file of a folder that a .pth file names, not the checkout installed there.
test-wheel: $(VENV)/.developer ## build the wheel and run the unit tests on what it installs
	@set -eu; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; trap 'exit 130' INT TERM; \
	echo "building the wheel"; \
	$(BIN)/python -m build --no-isolation --outdir "$$work/dist" . > "$$work/log" 2>&1 \
		|| { cat "$$work/log"; exit 1; }; \
	$(BIN)/python -m venv --without-pip "$$work/venv"; \
	site=$$("$$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$site/parent.pth"; \
	PIP_USER=0 $(BIN)/python -m pip --python "$$work/venv/bin/python" install -qq --no-deps \
		--no-index "$$work"/dist/*.whl; \
	"$$work/venv/bin/smtp-oauth-relay" --version; \
	"$$work/venv/bin/python" -c 'import smtp_oauth_relay as it; assert "'"$$work"'" in it.__file__'; \
	"$$work/venv/bin/python" -m pytest $(AT_ONCE) -q -p no:cacheprovider -o pythonpath= \
		tests/unit

# Each part skips with its reason when something it needs is not installed; with CI=true it fails.
test-all: $(VENV)/.developer ## the tests with real mail clients, a browser, the image; fuzz, TLS scan, checkov
	-@$(MAKE) --no-print-directory $(VENV)/.scanner
	$(BIN)/pytest -m "clients or browser or image or fuzz or scan or checkov"

fuzz: $(VENV)/.developer ## FUZZ_LINES (100000) spoilt lines over real sockets; FUZZ_SEED repeats a run
	$(BIN)/pytest -m fuzz

soak: $(VENV)/.developer ## twenty devices, random faults and hang-ups for MINUTES=5; three ledgers must agree
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

interop: $(VENV)/.developer ## every mail client that Debian, npm and PyPI have, as a table in docs/interop.md
	INTEROP_PAGE=docs/interop.md $(BIN)/pytest -m "interop or clients" tests/interop

suites: $(VENV)/.developer ## aiosmtpd's and aiosmtplib's own tests against the relay, as docs/suites.md
	@sh tests/suites/prepare.sh $(PYTHON)
	$(BIN)/python -m tests.suites.run

bench: $(VENV)/.developer ## the relay beside the floor of its stack, as docs/performance.md: four minutes
	$(BIN)/python -m benchmarks --write

growth: $(VENV)/.developer ## a steady load for MINUTES=5, and whether memory grows
	$(BIN)/python -m benchmarks.growth --minutes $(MINUTES) --write

format: $(VENV)/.developer ## let ruff format and repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

templates: $(VENV)/.installed ## write all settings and the version into what deploys the relay
	$(BIN)/python -m scripts.templates

# HEALTHCHECK is part of Docker's image format only, which Podman and Buildah must be asked for.
image: ## build the container image with docker, podman or buildah; BUILD_ARGS goes to it
	@if docker info > /dev/null 2>&1; then build="docker build"; \
	elif command -v podman > /dev/null; then build="podman build --format docker"; \
	elif command -v buildah > /dev/null; then build="buildah bud --format docker"; \
	else echo "No docker (with its engine running), podman or buildah here" >&2; exit 1; fi; \
	exec $$build --build-arg VERSION="$(VERSION)" --build-arg REVISION="$(REVISION)" \
		--tag "$(IMAGE):$(VERSION)" --tag "$(IMAGE):latest" $(BUILD_ARGS) .

lock: $(VENV)/.developer ## compile requirements*.txt from pyproject.toml; UPGRADE=--upgrade for news
	$(COMPILE) $(UPGRADE) pyproject.toml -o requirements.txt
	$(COMPILE) $(UPGRADE) --group build -c requirements.txt -o requirements-build.txt
	$(COMPILE) $(UPGRADE) --group dev -c requirements.txt -c requirements-build.txt \
		-o requirements-dev.txt
	$(COMPILE) $(UPGRADE) --group scan -o requirements-scan.txt

clean: ## remove everything that was made here
	rm -rf $(VENV) dist site .cache sandbox-mails .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment, in three steps; each stamp is written last, so what was interrupted is redone

# A checkout that was moved, or a Python that was removed, needs a new environment.
ifneq ($(shell test -x $(BIN)/python && cat $(VENV)/.ready 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/.ready
endif

$(VENV)/.ready: requirements.txt requirements-build.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer \
	is needed, this is %d.%d: try make PYTHON=python3.13" % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	echo "This Python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV), once: about half a minute"
	@rm -f $(VENV)/.ready && rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@printf '%s\n' "$(CURDIR)" > $@

$(VENV)/.installed: $(VENV)/.ready pyproject.toml
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.developer: $(VENV)/.ready requirements-dev.txt | $(VENV)/.installed
	@echo "Adding the developers' tools to $(VENV)"
	@rm $(VENV)/.ready $(VENV)/.installed
	@$(PIP) --require-hashes -r requirements-dev.txt
	@printf '%s\n' "$(CURDIR)" > $(VENV)/.ready
	@touch $(VENV)/.installed $@

# What holds our own dependencies back lives beside them.
$(VENV)/.scanner: requirements-scan.txt | $(VENV)/.developer
	@echo "Setting up sslyze in $(VENV)/scanner"
	@rm -rf $(VENV)/scanner
	@$(PYTHON) -m venv $(VENV)/scanner
	@$(PIP:$(BIN)/%=$(VENV)/scanner/bin/%) --require-hashes -r requirements-scan.txt
	@touch $@
