# make demo       a CNN and a DNN on drawn faces and a submission, two minutes
# make test       the quick tests and the style check, in under five minutes
# make test-all   the slow tests too, in about half an hour
# make report     docs/report.html from the shipped networks, with drawn faces
# make figures    the figures of plots/ that show faces, filters and confusions of MODEL

PYTHON ?= python3
BIN := .venv/bin
MODEL ?= $(firstword $(wildcard checkpoints/cnn.keras pretrained/cnn.keras))

.PHONY: demo test test-all figures report

demo: .venv/installed
	$(BIN)/python draw_faces.py
	$(BIN)/python train_cnn.py --train data/drawn/train.csv --name demo_cnn --epochs 6 \
		--finish 2
	$(BIN)/python train_dnn.py --train data/drawn/train.csv --name demo_dnn --epochs 8
	$(BIN)/python predict.py checkpoints/demo_cnn.keras --test data/drawn/test.csv \
		--labels data/drawn/test_labels.csv --output demo_submission.csv

# The faces shown are drawn ones; data/train.csv is only counted and averaged.
figures: .venv/installed data/drawn/train.csv
	$(BIN)/python plot_confusion_matrix.py $(MODEL)
	$(BIN)/python plot_saliency.py $(MODEL) --train data/drawn/train.csv
	$(BIN)/python plot_filters.py $(MODEL) --count 64
	$(BIN)/python plot_filters.py $(MODEL) --layer logits \
		--output plots/$(basename $(notdir $(MODEL)))_emotions.png
	$(BIN)/python plot_filters.py $(MODEL) --face 0 --train data/drawn/train.csv
	$(BIN)/python plot_pca.py

report: .venv/installed
	$(BIN)/python write_report.py pretrained/*.keras \
		$(if $(wildcard data/public_labels.csv),--labels data/public_labels.csv) \
		--output docs/report.html

data/drawn/train.csv: draw_faces.py fer/drawn_faces.py .venv/installed
	$(BIN)/python draw_faces.py

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q --numprocesses 2 --dist worksteal

# One at a time: they time, kill and measure.
test-all: test
	$(BIN)/python -m pytest -q -m slow

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) \
		and "error: expected Python 3.11 to 3.13, found another; add PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt requirements-photos.txt requirements-cluster.txt \
		.venv/installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@
