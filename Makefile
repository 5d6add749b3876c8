# `make repro` and `make test` work on a machine that has only Python (3.11 to 3.13), git and make.
# The stamp makes a second call start at once: nothing is installed while requirements.lock and pyproject.toml stay.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
# Stages run `python`: the one of this environment comes first. DVC_NO_ANALYTICS also covers DVC's own sub-processes.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: repro test check setup clean

repro: setup
	dvc repro

test: setup
	python -m pytest -m "not slow" -n 2 --dist loadfile
	python -m pytest -m slow -n 2 --dist loadfile

check: setup
	ruff check
	ruff format --check
	mypy

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "reprise needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

clean:
	rm -rf $(VENV) .reprise
