# make demo    the main job on the bundled sample voices; writes ./voxid-demo
# make test    the whole test suite, with a PostgreSQL server of its own where there can be one
# make check   format, lint, types, import order, doctests, README commands
# make bench   timings on this machine (what the README's table is made from)
# make voices  make the sample voices again (Debian: needs espeak-ng, see src/voxid/data/voices/README.md)
#
# Each sets up ./.venv by itself on the first call: Python 3.11 or later, its venv module and a package index.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
EXTRAS ?= dev,challenge,media,plot,serve,postgres,tracing
# Files of tests at a time; the fixtures of a file are made once.
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
COMMA  := ,
STAMP  := $(VENV)/.installed-$(subst $(COMMA),-,$(EXTRAS))

export OMP_NUM_THREADS ?= 1

.PHONY: demo test check bench voices format clean

demo: $(STAMP)
	$(BIN)/voxid demo

test: $(STAMP)
	scripts/with_postgres.sh $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(STAMP)
	$(BIN)/ruff format --check src tests scripts bench
	$(BIN)/ruff check src tests scripts bench
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports_point_one_way.py tests/test_doctests_hold.py tests/test_readme_commands_run.py

bench: $(STAMP)
	$(BIN)/python bench/speed.py

voices: $(STAMP)
	$(BIN)/python scripts/make_voices.py

format: $(STAMP)
	$(BIN)/ruff format src tests scripts bench
	$(BIN)/ruff check --fix src tests scripts bench

clean:
	rm -rf $(VENV) build dist voxid-demo .mypy_cache .pytest_cache .ruff_cache

# The stamp is newer than pyproject.toml when the environment has what pyproject.toml asks for.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "voxid needs Python 3.11 or later; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@
