# Two commands are all that is needed: `make demo` and `make test`. Both set everything up on the first call.
.PHONY: help demo test explore coverage validate lint format docs clean
.DEFAULT_GOAL := help

# Tests share the cores; each process holds its own torch and models, so at most four (PYTEST_ARGS="-n 0": one).
PARALLEL := -n logical --maxprocesses 4 --dist worksteal

help: ## Show what there is
	@echo "make demo    set up, then segment synthetic street scenes with the embedded model (DEMO_ARGS=... adds pictures)"
	@echo "make test    set up, then run every test"
	@echo "make explore set up, then look for new failing cases: fresh draws, ten times as many examples"
	@echo "make coverage set up, then run every test and show which lines none of them runs"
	@echo "make validate set up, then run every kind of export, and write down what came of it"
	@echo "make lint    set up, then run the linters and the type checker"
	@echo "make format  set up, then format the code"
	@echo "make docs    set up, then build the documentation: docs/_build/index.html"
	@echo "make clean   remove the virtual environment and everything made by the above"

demo:
	@./scripts/setup core
	@.venv/bin/pansight demo $(DEMO_ARGS)

test:
	@./scripts/setup dev
	@.venv/bin/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

explore:
	@./scripts/setup dev
	@.venv/bin/python -m pytest $(PARALLEL) --explore $(PYTEST_ARGS)

coverage:
	@./scripts/setup dev
	@.venv/bin/python -m pytest $(PARALLEL) --cov --cov-report=term-missing $(PYTEST_ARGS)

validate:
	@./scripts/setup dev
	@PANSIGHT_VALIDATE=1 .venv/bin/python -m pytest tests/export/test_parity_matrix.py $(PYTEST_ARGS)

lint:
	@./scripts/setup dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/python -m mypy

format:
	@./scripts/setup dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

docs:
	@./scripts/setup dev
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

clean:
	rm -rf docs/_build .venv .pytest_cache .mypy_cache .ruff_cache .coverage* .hypothesis demo-output build dist
