# Every target sets up what it needs. A machine needs Python 3.11 or newer, make and a package index.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Whoever sets it, as some images do, has each of the many processes compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/run.stamp: requirements/run.txt requirements/build.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Eventuary needs Python 3.11 or newer; none was found." >&2; \
		exit 1; fi
	@echo "Setting up .venv with $(PYTHON) …"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@echo "Installing the development tools …"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

.venv/bench.stamp: .venv/dev.stamp requirements/bench.txt
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

.venv/docs.stamp: .venv/run.stamp requirements/docs.txt
	@$(PIP) install --require-hashes -r requirements/docs.txt
	@touch $@

install: .venv/dev.stamp ## Make .venv with Eventuary and all that its tests need

demo: .venv/run.stamp ## Place Order across a server and four services (KEEP=1: and let it run)
	@$(BIN)/python -m eventuary.demo $(if $(KEEP),--keep)

test: .venv/dev.stamp ## Run the tests (under 8 minutes on 2 cores)
	@$(BIN)/python -m pytest -n 3 --dist loadfile

torture: .venv/dev.stamp ## Run the long tests, two at a time (under 25 minutes): kills, full disks, random schedules
	@$(BIN)/python -m pytest -m torture -n 2 --dist worksteal --timeout 900 -s

lint: .venv/dev.stamp ## Check style, types and the floors of the house
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: .venv/dev.stamp ## Format the code
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format

bench: .venv/bench.stamp ## Measure, each figure beside its ceiling or peer (QUICK=1 for 3 minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

docs: .venv/docs.stamp ## Build the documentation into site/
	@$(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

requirements: .venv/dev.stamp ## Pin the newest versions that fit
	@$(PIP) install pip-tools
	@for file in run build dev docs bench; do $(BIN)/pip-compile --quiet --upgrade --generate-hashes \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate \
		--strip-extras --allow-unsafe requirements/$$file.in -o requirements/$$file.txt; done

clean: ## Remove what the targets made
	@rm -rf .venv site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help install demo test torture lint format bench docs requirements clean
