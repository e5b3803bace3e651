# make demo: from nothing to a served app.  make test: everything that proves it.
VENV ?= .venv
PYTHON ?= python3
# A wheel index with CPU-only builds of torch, for example the "cpu" one of the PyTorch site; empty takes PyPI's.
TORCH_INDEX ?=
PRESET ?= quick
# Processes that run tests, a file of tests at a time each.
WORKERS ?= logical
BIN = $(VENV)/bin
PIP_FLAGS = --disable-pip-version-check -c requirements.lock $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo refresh app test test-wheel check bench install

demo: refresh app

refresh: install
	$(BIN)/latentlake refresh --preset $(PRESET)

app: install
	$(BIN)/latentlake serve

test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not wheel" -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-wheel: install
	$(BIN)/pytest -m wheel

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks.bench $(BENCH)

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) -e ".[train,search,login,dev]"
	touch $@
