# Each target sets up what it needs; nothing has to be typed before.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test soak bench lint clean

run: .venv
	@exec $(BIN)/flask quickstart

test: .venv
	@$(BIN)/python -m pytest -m "not soak"

soak: .venv
	@$(BIN)/python -m pytest -m soak

lint: .venv
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/sqlfluff lint -q sql

.venv: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv instance
