PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data/imagenet-320
DRAWN ?= ../shared/data/kangaroo

# where this is set, every process that a test starts compiles the project anew
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test soak cluster-test e2e check bench clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,demo,classifiers]'
	touch $@

demo: $(BIN)/.installed ## mine boxes from six real photographs into out/demo/index.html, ask the service for one
	$(BIN)/python -m clients.cli.demo out/demo

# in a process of its own: Ray keeps for good whether it asks for a token
ASKS_FOR_TOKEN = tests/test_ray_launcher.py

test: $(BIN)/.installed ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ASKS_FOR_TOKEN)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests dap_core README.md -m "not soak" -n 2 --dist loadfile --ignore $(ASKS_FOR_TOKEN)

soak: $(BIN)/.installed ## run the long tests
	$(BIN)/python -m pytest tests -m soak

cluster-test: $(BIN)/.installed ## nodes of a local cluster die and join while jobs run and people ask (half an hour)
	$(BIN)/python -m pytest $(ASKS_FOR_TOKEN)
	$(BIN)/python -m pytest tests -m cluster --ignore $(ASKS_FOR_TOKEN)

e2e: $(BIN)/.installed ## the four steps on a synthetic set: classifier, boxes, pre-training, ten drawn images; CLS and DAP
	$(BIN)/python -m clients.cli.four_steps out/e2e

check: $(BIN)/.installed ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(BIN)/.installed e2e ## measure all on DATA and DRAWN, write the pages in benchmarks/ (hours)
	$(BIN)/python benchmarks/measure_mining.py $(DATA)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/measure_serving.py $(DATA)
	PYTHONPATH=. $(BIN)/python benchmarks/measure_bulk.py $(DATA)
	PYTHONPATH=.:benchmarks $(BIN)/python benchmarks/measure_nodes.py $(DATA)
	PYTHONPATH=.:benchmarks $(BIN)/python benchmarks/measure_pages.py
	PYTHONPATH=. $(BIN)/python benchmarks/measure_evaluation.py
	PYTHONPATH=. $(BIN)/python benchmarks/measure_training.py $(DATA) $(DRAWN) out/e2e

clean: ## remove what demo and test made
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
