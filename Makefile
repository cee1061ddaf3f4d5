# Needs Python 3.10 to 3.13, git and make; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := .demo

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install lint types test demo bench clean

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

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
