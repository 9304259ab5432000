# make demo       everything once, on drawn faces, in under five minutes
# make test       the quick tests and the style check, in under five minutes
# make test-all   the slow tests too, in under an hour
# make figures    every figure of plots/ from MODEL

PYTHON ?= python3
BIN := .venv/bin
MODEL ?= $(firstword $(wildcard checkpoints/cnn.keras pretrained/cnn.keras))

.PHONY: demo test test-all figures

demo: .venv/installed
	$(BIN)/python draw_faces.py
	$(BIN)/python train_cnn.py --train data/drawn/train.csv --name demo_cnn --epochs 12
	$(BIN)/python train_dnn.py --train data/drawn/train.csv --name demo_dnn --epochs 12
	$(BIN)/python predict.py checkpoints/demo_cnn.keras --test data/drawn/test.csv \
		--labels data/drawn/test_labels.csv --output demo_submission.csv

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q

test-all: .venv/installed-test
	$(BIN)/python -m pytest -q -m "slow or not slow"

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@
