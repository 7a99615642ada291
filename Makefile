# Every target sets up what it needs: a virtual environment, uv, the locked dependencies, bytecode.
# It needs Python 3.11 or 3.12 with venv, and git.
PYTHON ?= python3
VENV := .venv
UV := .uv/bin/uv
TESTS ?=
BENCH ?=

.PHONY: setup demo test e2e coverage check migration bench clean

setup: $(VENV)/.ready

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "Lacewing needs Python 3.11 or 3.12 with venv (on Debian: apt install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "Lacewing needs Python 3.11 or 3.12 with venv (on Debian: apt install python3-venv); or say make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 \
	  || { rm -rf .uv; echo "Lacewing could not get uv from the package registry; see above (on Debian: apt install ca-certificates)"; exit 1; }

$(VENV)/.ready: uv.lock pyproject.toml core/pyproject.toml $(wildcard plugins/*/pyproject.toml) | $(UV)
	$(UV) sync --quiet --locked --compile-bytecode --python $(PYTHON)
	@touch $@

demo: setup
	$(VENV)/bin/lacewing demo start
	$(VENV)/bin/lacewing demo run examples/first_workflow.py greet --name World

test: setup
	$(VENV)/bin/python -m pytest -m "not browser and not s3" $(TESTS)

# What needs more than Python: Chromium and its driver, an S3 server that is built with Go on first use.
e2e: setup
	$(VENV)/bin/python -m pytest -m "browser or s3" tests

coverage: setup
	$(VENV)/bin/python -m pytest -m "not browser" --cov --cov-report=term:skip-covered $(TESTS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m pytest tests/house

# After a change of tables: make migration NAME=what_it_does, then read what it wrote.
migration: setup
	$(VENV)/bin/lacewing db revision $(NAME)
	$(VENV)/bin/ruff format core/lacewing/adapters/migrations

bench: setup
	@for file in $(if $(BENCH),bench/$(BENCH).py,$(wildcard bench/bench_*.py)); do $(VENV)/bin/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .uv
