# make run PROMPT="a red apple on a blue background"   sets everything up, draws, saves and names the picture
# make test                                            sets everything up and runs the tests
# make check                                           formatting, lint, types and the import rule
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PROMPT ?= a red apple on a blue background
export PROMPT

.PHONY: run test check format pictures train judge clean

run: $(VENV)/.run
	@$(PY) -m kakusan draw "--prompt=$$PROMPT"

test: $(VENV)/.test
	@OMP_NUM_THREADS=2 $(PY) -m pytest

check: $(VENV)/.test
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest tests/test_layers.py

format: $(VENV)/.test
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

# The drawings that training pictures are made of (needs npm); then the embedded model, from nothing, in MINUTES.
pictures: $(VENV)/.train
	@$(PY) -m kakusan pictures

MINUTES ?= 120
CONFIG ?= embedded-cpu
train: $(VENV)/.train
	@$(PY) -m kakusan train all --config $(CONFIG) --minutes $(MINUTES) --export build/model

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kakusan needs Python 3.11 or newer; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "setting up kakusan in $(VENV) (once)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "setting up kakusan and its test tools in $(VENV) (once)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.train: $(VENV)/bin/pip pyproject.toml constraints.txt
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pictures]'
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
