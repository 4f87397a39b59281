# Set-up, demo, tests and checks. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS := 1

.PHONY: help setup demo mlflow test check drill bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup:  ## create .venv from constraints.txt, or repair it; instant if it is complete
	@$(PYTHON) setup_venv.py $(VENV)

demo: setup  ## sweep learning rate x loss on the embedded streets and write the report
	@$(BIN)/python tune_main.py --space grid_lr_loss --profile quick
	@$(BIN)/python report.py

mlflow: setup  ## start an MLflow server for a team on this machine (docs/tracking.md)
	@$(BIN)/python -m sweeps.mlflow_server

test: setup  ## run the tests, two files at a time
	@$(BIN)/python -m pytest -m "not drill" -n 2 --dist loadfile

drill: setup  ## run the slow fault drills, two files at a time: they wait more than they compute
	@$(BIN)/python -m pytest -m drill -n 2 --dist loadfile --durations=40 || [ $$? -eq 5 ]  # 5: none was selected

bench: setup  ## measure training and sweeps against baselines; about an hour on two cores
	@$(BIN)/python -m benchmarks

check: setup  ## lint, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy bddseg sweeps benchmarks docs tune_main.py report.py setup_venv.py
	@$(BIN)/lint-imports --config setup.cfg

clean:  ## remove caches; sweeps, reports and .venv stay
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
