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

# Draws every picture of docs/ anew, from the store in results/. What that lacks is computed first: the quickstart
# in minutes, the two figures of P1 at the small scale in hours.
pictures: .venv/installed
	$(BIN)/amc run quickstart
	$(BIN)/amc run p1-fig02 p1-fig14 --scale small
	$(BIN)/amc run docs/saliency.yaml
	$(BIN)/amc figures quickstart --to figures
	$(BIN)/amc figures p1-fig02 --scale small --to figures
	$(BIN)/amc figures p1-fig14 --scale small --to figures
	$(BIN)/amc saliency docs/saliency.yaml --modulations BPSK,QPSK --snr 18 --to figures
	cp figures/quickstart.png docs/quickstart.png
	cp figures/p1-fig02-small-published.png docs/p1-fig02.png
	cp figures/p1-fig14-small-published.png docs/p1-fig14.png
	cp figures/saliency-saliency.png docs/saliency.png

.venv/installed: pyproject.toml amc_core/_kernels.c
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
