# Two commands from a bare checkout: `make demo` and `make test`. Nothing but python3 and make is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEED   ?= 1
PORT   ?= 8080
CONFIG ?= stress.yml
# Two of the four wait for managers of NNI most of the time; the long tests come first.
PARALLEL ?= -n 4 --dist worksteal
# Where the environment forbids compiled files, each of the tests' many processes compiles anew.
export PYTHONDONTWRITEBYTECODE :=

# The stamp is newer than these once everything is installed: a second run installs nothing again.
# Of 20,000 files of Python a fifth is ever imported, and compiled then.
$(VENV)/installed: setup.py nni_stress/nnictl.pth
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[test,lint]'
	$(BIN)/python -m nni_stress register
	touch $@

install: $(VENV)/installed

demo: install
	@$(BIN)/python -m trials.demo --config $(CONFIG) --seed $(SEED) --port $(PORT)

test: install
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL)

test-all: install
	$(BIN)/python -m pytest $(PARALLEL)

# ruff and mypy; import-linter sees that no package imports one above it.
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site, in docs/_build; a broken link or reference is an error.
docs: install
	$(BIN)/python -m sphinx -W --keep-going -n -b html docs docs/_build

# 400 faults, half of them in real experiments; 45 minutes, more where the machine has other work.
# Interrupted, it goes on from its record in runs/faults.
test-faults: install
	$(BIN)/python -m tests.faults.campaign

# Every figure of speed, as ratios taken side by side; nothing else may run meanwhile.
bench: install
	$(BIN)/python -m reports.bench

# 56 networks of libraries that only this needs, made small, beside Torch-Pruning; an hour. Interrupted,
# it goes on from its record in reports/results/zoo.json.
zoo: $(VENV)/zoo
	$(BIN)/python -m reports.zoo

$(VENV)/zoo: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[zoo]'
	touch $@

.PHONY: install demo lint docs test test-all test-faults bench zoo
