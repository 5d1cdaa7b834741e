# Headwater: `make` alone prints every command. CI calls nothing but these targets (.ci/run).
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv/bin
SOURCES := libs services deploy tests
# What the protos must stay compatible with: the published main branch, or the last commit where there is no remote.
AGAINST ?= $(shell git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet HEAD)
# More words for pytest, as in `make test TESTS="tests/unit -k paging"`.
TESTS ?=
# `make up PORTS=free` lets every service take a free port instead of the documented one.
PORTS ?= standard

# Whose token `make token` makes, and what it allows: reader, writer, approver or admin.
ROLE ?= reader
SUBJECT ?= $(shell id -un)

.PHONY: help demo test up down status token bench lint format proto proto-check compose-up compose-down compose-test clean

help: ## print every command
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

demo: .local ## run the platform's main job on real data, on a stack that it starts; under 3 minutes
	@$(VENV)/python -m deploy.demo

test: .dev .triton ## run every test with a real PostgreSQL, Valkey, Ray, Triton and all services; some 25 minutes on two cores
	@$(VENV)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(TESTS)

up: .local ## start what is not running of PostgreSQL, Valkey and the six services
	@$(VENV)/python -m deploy.local up --ports $(PORTS)

down: .local ## stop them; the data stays in .headwater/
	@$(VENV)/python -m deploy.local down

status: .local ## show what runs, where, since when and with how much memory
	@$(VENV)/python -m deploy.local status

token: .local ## print a token for somebody else, as in `make token ROLE=reader SUBJECT=ada`
	@$(VENV)/python -m deploy.local.token --role $(ROLE) --subject $(SUBJECT)

bench: .dev .peers ## measure everything against peers; `make bench-reads` measures one part of it
	@$(VENV)/python -m tests.bench

bench-%: .dev .peers
	@$(VENV)/python -m tests.bench $*

lint: .dev proto-check ## check style, types, imports and protos
	@$(VENV)/ruff check $(SOURCES)
	@$(VENV)/ruff format --check $(SOURCES)
	@$(VENV)/mypy $(SOURCES)
	@$(VENV)/lint-imports --no-logo
	@$(VENV)/buf lint
	@$(VENV)/buf format --exit-code --diff --path protos/headwater
	@$(VENV)/python deploy/breaking.py $(AGAINST)

format: .dev ## put code and protos into the one format
	@$(VENV)/ruff check --fix $(SOURCES)
	@$(VENV)/ruff format $(SOURCES)
	@$(VENV)/buf format --write --path protos/headwater

proto: .tools ## generate the Python stubs in libs/ from protos/
	@.tools/bin/python deploy/stubs.py

proto-check: .tools ## fail when the committed stubs are not what protos/ says
	@.tools/bin/python deploy/stubs.py --check

compose-up: ## build the images and start everything in containers
	@$(PYTHON) -m deploy.compose up

compose-down: ## stop the containers; their volumes stay
	@$(PYTHON) -m deploy.compose down

compose-test: .dev ## build the images and run the main job against them
	@$(VENV)/python -m deploy.compose test

clean: ## remove environments and caches; .headwater/, the data, stays
	@[ ! -x $(VENV)/python ] || [ ! -d .headwater ] || $(VENV)/python -m deploy.local down
	@rm -rf .venv .tools .peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find libs services deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environments: made, or brought to what pyproject.toml and deploy/constraints.txt say now (deploy/install.py).
.PHONY: .local .dev .tools .triton .peers
.local .dev .tools .triton .peers: .%:
	@command -v $(PYTHON) >/dev/null || { echo 'Headwater needs Python 3.11 or later: install it, or name one, as in `make demo PYTHON=python3.12`.'; exit 1; }
	@$(PYTHON) deploy/install.py $*
