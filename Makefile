# Two commands from a fresh clone: `make sweep` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: sweep test test-full lint docs pictures

# Runs the quickstart study (nothing that is already computed), prints its table, and draws it.
sweep: .venv/installed
	$(BIN)/amc run quickstart
	$(BIN)/amc results quickstart
	$(BIN)/amc figures quickstart
	@echo "Tables: results/ (read them with analysis.load, or: $(BIN)/amc results quickstart --csv cells.csv)"

test: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile

# What takes long: every command and block of the documentation, among others.
test-full: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile -m full

docs: .venv/installed
	$(BIN)/python -m sphinx -W -q -b html docs site
	@echo "Open site/index.html"

lint: .venv/installed
	$(BIN)/ruff check .

# Draws the pictures of docs/ anew, from the tables committed there; saliency needs a network, which is trained first.
pictures: .venv/installed
	$(BIN)/python docs/pictures.py
	$(BIN)/amc run docs/saliency.yaml
	$(BIN)/amc saliency docs/saliency.yaml --modulations BPSK,QPSK --snr 18 --layer 2 --to figures
	cp figures/saliency-saliency.png docs/saliency.png

.venv/installed: pyproject.toml amc_core/_kernels.c
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
