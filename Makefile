# `make demo` and `make test` need only Python 3.11+, make and a compiler: each makes .venv first, once.
PYTHON ?= python3
CORES ?= $(shell nproc)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test lint bench model clean

demo: $(INSTALLED)
	$(BIN)/snakemake --cores $(CORES) --quiet rules host reason -- demo
	@echo
	@$(BIN)/alba show results/sprites/ablation.csv
	@echo
	@echo "Table:    results/sprites/ablation.csv (figure: ablation.png; details: metrics.csv, per-object.csv)"
	@echo "Pictures: results/sprites/overlays/*.png"
	@echo "Masks:    results/sprites/masks/<video>/*.png"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=workflow $(BIN)/mypy workflow/alba_datasets.py workflow/alba_paths.py
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

# Put the networks of a data set, trained if they are not yet, among those that come with alba.
model: $(INSTALLED)
	@test -n "$(DATASET)" -a -n "$(NAME)" || { echo "usage: make model DATASET=davis16 NAME=davis16-regions"; exit 1; }
	$(BIN)/snakemake --cores $(CORES) -- results/$(DATASET)/model
	rm -rf models/$(NAME)
	mkdir -p models
	cp -R results/$(DATASET)/model models/$(NAME)
	rm -f models/$(NAME)/.snakemake_timestamp
	sed '/^| model/,$$d' models/README.md > models/README.md.partial
	$(BIN)/alba models >> models/README.md.partial
	mv models/README.md.partial models/README.md

# Made anew when what is to be installed changes, and not otherwise.
$(INSTALLED): pyproject.toml envs/constraints.txt
	@echo "Installing into .venv: some minutes, a few GB"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[dev]'
	@touch $@

# Everything that can be made again, the environment excepted.
clean:
	rm -rf cache results logs .snakemake build
