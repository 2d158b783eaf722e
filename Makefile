# Each of `make demo` and `make test` is the only command needed on a machine with Python 3.11 or newer, make and git.

# the first of these that is there and new enough; another one: make install PYTHON=/where/it/is
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do $$p $(NEW_ENOUGH) 2>/dev/null && echo $$p && break; done)
endif
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
READY  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install browser demo test test-long unit lint format docs clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(READY) ## Create .venv with transrec and everything that tests it

# torch comes first and alone, so that pip takes a CPU build where one is at hand before anything else asks for torch.
# To choose it: make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
$(READY): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) $(NEW_ENOUGH) || { echo "transrec needs Python 3.11 or newer: make PYTHON=/where/it/is"; exit 1; }
	@echo "Installing transrec into $(VENV) (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -e '.[dev]'
	@touch $@

# the tests of the playground look at it with Debian's Chromium: their own browsers would come from elsewhere
browser: ## Install the browser that tests the playground, with apt, where it is not there
	@for name in chromium google-chrome chromium-browser; do command -v $$name >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then echo "The tests need a browser: please install chromium"; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then root=""; else root="sudo -n"; fi; \
	echo "Installing chromium with apt"; \
	{ $$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium; } \
	  >/dev/null || { echo "The tests need a browser: apt-get install chromium"; exit 1; }

demo: $(READY) ## Pre-train on one platform, transfer to four, compare, recommend (two to seven minutes)
	@$(BIN)/transrec demo

# tests use one thread each, so two processes take two cores; the tests of a file stay together and share what they made,
# and files with long tests come first (tests/conftest.py)
SPREAD := -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder

test: lint docs browser ## Everything that has to hold: style, types, architecture, docs, tests
	$(BIN)/pytest $(SPREAD) -m "(not slow or transfer) and not network" --durations=10

test-long: lint docs browser ## make test and the slow tests, with new examples where tests draw them
	$(BIN)/pytest $(SPREAD) --hypothesis-profile drawn -m "not network" --durations=25

unit: $(READY) browser ## The quick tests alone
	$(BIN)/pytest $(SPREAD)

lint: $(READY) ## Style, types, and the staircase of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/lint-imports --no-cache

format: $(READY) ## Put the code into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html

clean: ## Remove what was built; the data, the runs and .venv stay
	rm -rf build dist docs/_build docs/api/generated demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
