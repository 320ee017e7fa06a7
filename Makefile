# Everything happens in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile
export DGMRUN_DATA := $(or $(DGMRUN_DATA),$(realpath ../shared/data))

.PHONY: help install run test test-all lint docs bench clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s%s\n", $$1, $$2}' Makefile

install: .venv/.installed ## make .venv and install dgmrun and its tools there, if that is not done

run: install ## train a small RBM on the bundled digits, and score it in nats
	$(BIN)/dgmrun model=rbm model.hidden=20 train log_z likelihood sample

test: install ## run the tests that are not slow
	$(PYTEST) -m "not slow"

test-all: install ## run every test
	$(PYTEST)

lint: install ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: install ## build site/ from docs/ and configs/
	DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: install ## measure dgmrun beside its peers, and the limits of the machine; wants a quiet one
	$(BIN)/python -m benchmarks

clean: ## remove what tools left behind; .venv and outputs stay
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

# One request for both: only torch and torchvision of the same age go together.
.venv/.installed: pyproject.toml
	@echo "installing dgmrun, torch and the rest into .venv: a few minutes, 5 GB"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch torchvision -e '.[dev,bench]'
	touch $@
