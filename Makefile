# `make help` lists the targets. Everything runs in a virtual environment of its own: VENV, by default .venv.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp
SOURCES := tilewright tests benchmarks
PYTEST := $(BIN)/python -m pytest
# Tests go to as many processes as there are cores, four at most.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal
TRIALS ?= 24
LONG_TESTS := tests/end_to_end tests/measure tests/faults tests/test_docs.py tests/test_packaging.py \
	tests/compiler/test_random_schedules.py tests/templates/operators/test_random_cases.py

.DEFAULT_GOAL := help
.PHONY: help install demo test check format format-check lint types layers quick bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the virtual environment, with the tools of development

demo: $(STAMP) ## Tune a matrix product of 512 x 512 x 512; print its speed before, after, and NumPy's
	@$(BIN)/python benchmarks/demo.py --trials $(TRIALS) --db demo.db

test: $(STAMP) ## Run all tests but those marked slow or aarch64
	@$(PYTEST) $(PARALLEL) -m "not slow and not aarch64"

check: format-check lint types layers quick ## Check format, lint, types and layers; run the quick tests

format: $(STAMP) ## Format the sources
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet --select I $(SOURCES)

format-check: $(STAMP) ## Check the format
	@$(BIN)/ruff format --check $(SOURCES)

lint: $(STAMP) ## Look for mistakes with ruff
	@$(BIN)/ruff check $(SOURCES)

types: $(STAMP) ## Check the types with mypy
	@$(BIN)/mypy

layers: $(STAMP) ## Check that each folder imports only those below it
	@$(BIN)/lint-imports --no-logo

quick: $(STAMP) ## Run the tests that need no worker processes, no documents and no long search for counterexamples
	@$(PYTEST) $(PARALLEL) -q -m "not slow and not aarch64" $(addprefix --ignore ,$(LONG_TESTS))

bench: $(STAMP) ## Run the benchmarks, one after another; their JSON goes to benchmarks/results
	@mkdir -p benchmarks/results
	@for table in tuners call_overhead trial_cost compile_time matmul operators default_shapes mathematics network_times thread_scaling store; do \
		echo "== $$table"; \
		$(BIN)/python benchmarks/$$table.py --json benchmarks/results/$$table.json || exit 1; \
	done

clean: ## Remove the virtual environment, caches, demo.db and what was built
	rm -rf $(VENV) build dist *.egg-info demo.db demo.db-* demo.db.*
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find tilewright tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again only when pyproject.toml changes.
$(STAMP): pyproject.toml
	@VENV="$(VENV)" PYTHON="$(PYTHON)" ./.ci/install
	@touch $@
