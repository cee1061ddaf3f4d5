# Needs Python 3.10 to 3.13, git and make; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := .demo

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install lint types test test-tf215 parity-soak demo bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,tf]'
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# What fails fast runs first.
test: lint types
	$(BIN)/python -m pytest -n $(WORKERS)

# All healthy runs; `make test` makes 40 of them.
parity-soak: $(STAMP)
	TFPORT_HEALTHY_RUNS=500 $(BIN)/python -m pytest -n $(WORKERS) tests/parity/test_healthy.py

# TensorFlow 2.15.1 with Keras 2, in an environment of its own: Python 3.9 to 3.11.
VENV215 ?= .venv215
PYTHON215 ?= python3.11

test-tf215: $(STAMP) $(VENV215)/.installed
	TFPORT_TF215=$(VENV215)/bin/python $(BIN)/python -m pytest -n 0 tests/parity/capture_tf215.py
	TFPORT_OTHER_TENSORFLOW=$(VENV215)/bin/python $(BIN)/python -m pytest -n 0 tests/weights/test_matrix.py

$(VENV215)/.installed:
	test -x $(VENV215)/bin/python || $(PYTHON215) -m venv $(VENV215)
	$(VENV215)/bin/python -m pip install --quiet tensorflow==2.15.1
	touch $@

demo: $(STAMP)
	rm -rf $(DEMO) && mkdir $(DEMO)
	cp fixtures/cnn.py $(DEMO)/cnn.py
	@echo '== convert: cnn.py -> cnn_torch.py'
	$(BIN)/tfport convert $(DEMO)/cnn.py
	@echo '== train in TensorFlow, save the weights'
	$(BIN)/python fixtures/train_cnn.py $(DEMO)/cnn.weights.h5
	@echo '== weights: cnn.weights.h5 -> cnn.safetensors'
	$(BIN)/tfport weights $(DEMO)/cnn.weights.h5 -o $(DEMO)/cnn.safetensors --module $(DEMO)/cnn_torch.py:build
	@echo '== verify: both programs, the same weights, the same input'
	$(BIN)/tfport verify $(DEMO)/cnn.py:build $(DEMO)/cnn_torch.py:build \
	    --weights $(DEMO)/cnn.weights.h5 --input 8x28x28x1 --dtype float32,float64

bench: $(STAMP)
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/parity.py
	$(BIN)/python benchmarks/weights.py

clean:
	rm -rf $(VENV) $(VENV215) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
