# Two commands on a fresh machine: `make demo` and `make test`.
# Each makes its own .venv and installs only what is missing.

PYTHON ?= python3
VENV   ?= .venv
# A fixed release first: an open range would fetch the newest build, on Linux with
# several GB of CUDA. Give another one with `make demo TORCH=torch`.
TORCH  ?= torch==2.13.0
DEMO   ?= sparsessp-demo
# Test processes: one more than cores, for many wait on a window; four at most, 2 GB each.
JOBS   ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
            test $$n -lt 4 && echo $$((n + 1)) || echo 4)
# A file is one worker's: its models and viewers are made once.
WORKERS = -n $(JOBS) --dist loadfile

BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# A window of its own where there is no display, or where tests would pop up windows.
XVFB   := $$(command -v xvfb-run >/dev/null && echo 'xvfb-run -a -s "-screen 0 1600x1000x24"')

.DEFAULT_GOAL := help
.PHONY: help demo test test-exhaustive pytest format lint type docs system clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.installed system ## predict the bundled sample and show it
	$(BIN)/sparsessp demo --out $(DEMO)

test: lint ## everything that CI checks
	@$(MAKE) --no-print-directory --jobs=2 type pytest

test-exhaustive: export PYTEST_ADDOPTS = -m ""
test-exhaustive: test ## the same with all full products, in half an hour or more

pytest: $(VENV)/.installed-dev system ## the tests alone
	eval $(XVFB) $(BIN)/python -m pytest $(WORKERS)

format: $(VENV)/.installed-dev ## rewrite the sources in the house style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: $(VENV)/.installed-dev system ## style, layers and manifest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-sparsessp

type: $(VENV)/.installed-dev ## static types
	$(BIN)/mypy

docs: $(VENV)/.installed system ## take the pictures of README and docs again
	eval $(XVFB) $(BIN)/python tools/story.py

system: ## Qt's system libraries and Xvfb, through apt where that is possible
	@sh tools/system_packages.sh libraries

clean: ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@sh tools/system_packages.sh venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet "$(TORCH)" || echo "no $(TORCH) for this Python; taking the newest"
	$(PIP) install --quiet -e ".[all]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(PIP) install --quiet --group dev
	@touch $@
