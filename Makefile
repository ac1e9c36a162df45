# Everything that a developer or CI runs. Needs Python 3.11 or newer with venv, and make; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
.PHONY: help install install-dev run test test-services check openapi bench bench-install
SHELL := /bin/sh
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# The stamps bear the requirements' checksum: nothing is installed again until one of them changes.
RUN_STAMP := $(VENV)/installed-$(firstword $(shell cksum < requirements.txt))
DEV_STAMP := $(VENV)/installed-dev-$(firstword $(shell cat requirements.txt requirements-dev.txt | cksum))
TEST_ARGS ?=
# How many cases schemathesis makes up for each operation, beside those that cover its schema.
CASES ?=

help:
	@echo "make run            start Calliyo here (PORT=8000)"
	@echo "make test           the test suite, on the embedded default"
	@echo "make test-services  the whole suite on PostgreSQL, Redis and Chromium"
	@echo "make check          linters, types, import contracts, migrations, deployment, docs/openapi.yaml"
	@echo "make openapi        docs/openapi.yaml anew from the code"
	@echo "make bench          the benchmarks; make bench-install: from an empty folder to the address"
	@echo "make install        the virtual environment and the packages only"

install: $(RUN_STAMP)
install-dev: $(DEV_STAMP)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Calliyo needs Python 3.11 or newer; found none." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Calliyo needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=…" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV)/ …"
	@"$(PYTHON)" -m venv $(VENV)

$(RUN_STAMP): | $(BIN)/python
	@echo "Installing the packages …"
	@$(PIP) install --no-deps --requirement requirements.txt
	@rm -f $(VENV)/installed-[0-9]*
	@touch $@

$(DEV_STAMP): | $(RUN_STAMP)
	@echo "Installing what tests and checks need …"
	@$(PIP) install --no-deps --requirement requirements-dev.txt
	@rm -f $(VENV)/installed-dev-*
	@touch $@

# Webhooks may reach this machine here, and only here, so that a receiver can be tried at once.
run: export CALLIYO_WEBHOOK_ALLOWED_NETWORKS ?= 127.0.0.0/8,::1/128
run: export PORT ?= 8000
run: export BIND_ADDRESS ?= 127.0.0.1
run: $(RUN_STAMP)
	@$(BIN)/python manage.py first_run
	@exec $(BIN)/python -m calliyo.supervisor Procfile

test: $(DEV_STAMP)
	$(BIN)/pytest --numprocesses 3 --ignore tests/services --ignore tests/browser $(TEST_ARGS)

test-services: $(DEV_STAMP)
	@sh tests/services/install.sh
	CALLIYO_CASES=$(CASES) $(BIN)/python -m tests.services.run $(TEST_ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --fail-on-warn | diff -u docs/openapi.yaml - || \
		{ echo "docs/openapi.yaml is not what the code says: make openapi" >&2; exit 1; }
	DATABASE_URL=postgres://calliyo@localhost/calliyo BASE_URL=https://crm.example.com ALLOWED_HOSTS=crm.example.com \
		SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		CALLIYO_FIELD_KEYS=$$($(BIN)/python -c 'from cryptography.fernet import Fernet as F; print(F.generate_key().decode())') \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

openapi: $(DEV_STAMP)
	$(BIN)/python manage.py spectacular --fail-on-warn --file docs/openapi.yaml

bench: $(DEV_STAMP)
	$(BIN)/python -m bench

bench-install:
	"$(PYTHON)" bench/install.py
