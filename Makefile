# make demo: from nothing to a served app.  make test: the tests that prove it in minutes.  make test-all: every test.
VENV ?= .venv
PYTHON ?= python3
# A wheel index with CPU-only builds of torch, for example the "cpu" one of the PyTorch site; empty takes PyPI's.
TORCH_INDEX ?=
PRESET ?= quick
# Processes that run tests, a file of tests at a time each.
WORKERS ?= logical
# Which of the long tests `make test-since` runs, and for how long it starts them.
SINCE ?= 1 day ago
MINUTES ?= 10
BIN = $(VENV)/bin
PIP_FLAGS = --disable-pip-version-check -c requirements.lock $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --maxprocesses 4
DAGSTER = $(VENV)-dagster
SITE = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: demo refresh app test test-all test-since test-wheel test-dagster ray check bench docs house pictures install

demo: refresh app

refresh: install
	$(BIN)/latentlake refresh --preset $(PRESET)

app: install
	$(BIN)/latentlake serve

test: install
	$(PYTEST) -m "not long and not wheel"

test-all: ray
	$(PYTEST) -m "not wheel" --ignore tests/external/test_dagster.py --hypothesis-profile new
	$(MAKE) test-wheel test-dagster

# The long tests that reach what has changed, and a tenth of them, another one each day.
test-since: install
	$(PYTEST) -m "long and not wheel" --changed-since "$(SINCE)" --tenth $$(date +%j) --minutes $(MINUTES)

test-wheel: install
	$(BIN)/pytest -m wheel

test-dagster: $(DAGSTER)/installed
	$(DAGSTER)/bin/python -m pytest tests/external/test_dagster.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The pages of docs/reference/ that are made from the code.
docs: install
	$(BIN)/python -m tests.support.suite.docs

# Every module with what it is for, and the graph of packages.
house: install
	$(BIN)/python -m tests.support.suite.house

# Pictures of every page of a lake, for docs/pages.md.
pictures: install
	$(BIN)/python -m tests.support.suite.pictures --lake $(or $(LAKE),data/lake)

bench: install
	$(BIN)/python -m benchmarks.bench $(BENCH)

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) -e ".[train,search,login,dev]"
	touch $@

ray: $(VENV)/with-ray

$(VENV)/with-ray: $(VENV)/installed
	$(BIN)/pip install $(PIP_FLAGS) -e ".[ray]"
	touch $@

# Dagster needs another version of a package than requirements.lock has: what it adds lies before what $(VENV) has.
$(DAGSTER)/installed: $(VENV)/installed deploy/dagster.lock
	$(BIN)/python -m venv $(DAGSTER)
	$(BIN)/python $(SITE) > "$$($(DAGSTER)/bin/python $(SITE))/of_the_tests.pth"
	$(DAGSTER)/bin/pip install --disable-pip-version-check -c deploy/dagster.lock -e ".[train,dev,dagster]"
	touch $@
