# Every target sets up what it needs by itself (tools/setup.sh). `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-jit test-bounds test-plain check docs api bench fuzz rtl rtl-volume rtl-synth rtl-formal train

export PYTHON
PY := .venv/bin/python
SETUP_INPUTS := pyproject.toml constraints.txt tools/setup.sh $(wildcard rtl/.)
JOBS ?= auto
PYTEST := $(PY) -m pytest -q -n $(JOBS) --maxprocesses=4 --dist=loadscope
# numba's cache does not know whether bounds were checked, so checked code has a cache of its own.
BOUNDS := NUMBA_BOUNDSCHECK=1 XDG_CACHE_HOME=$(CURDIR)/.venv/cache-bounds

.venv/.setup-%: $(SETUP_INPUTS)
	@tools/setup.sh $*

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1	\2/p' Makefile | expand -t 20

setup: .venv/.setup-dev ## install everything for development into .venv

demo: .venv/.setup-demo ## simulate a small speech model on the chip az1
	@$(PY) -m azsim demo

test: test-jit test-bounds test-plain ## all tests: compiled, with bounds checks, and without compilation

test-jit: .venv/.setup-test ## the whole suite with compiled kernels
	$(PYTEST)

test-bounds: .venv/.setup-test ## the small tests with array bounds checked in compiled kernels
	$(BOUNDS) $(PYTEST) -m small

test-plain: .venv/.setup-test ## the small tests without compilation, with a coverage report
	NUMBA_DISABLE_JIT=1 $(PY) -m coverage run -m pytest -q -m small && $(PY) -m coverage report

check: .venv/.setup-dev ## format, lint, types, import floors, generated pages fresh
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/basedpyright
	.venv/bin/lint-imports
	$(PY) tools/docs.py --check

docs: .venv/.setup-test ## write the generated pages and the notebook anew
	$(PY) tools/docs.py
	$(PY) tools/tutorial.py --notebook

api: .venv/.setup-test ## write the Python API reference to build/api (pdoc)
	$(PY) tools/api_docs.py

bench: .venv/.setup-test ## measure speed (benchmarks/*.py)
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

fuzz: .venv/.setup-test ## damaged streams, a new seed each time: a million in software, 200,000 cycles in RTL
	$(PY) -m azsim.rtl_check.fuzz --mutations $(or $(MUTATIONS),1000000)
	$(PY) tools/fuzz_hypothesis.py --examples $(or $(EXAMPLES),20000)
	$(PY) -m azsim verify-rtl --cycles $(or $(CYCLES),200000) --seed $$(date +%s)

rtl: .venv/.setup-test ## the RTL against the clocked model (tests/rtl)
	$(PY) -m pytest -q tests/rtl

rtl-volume: .venv/.setup-test ## millions of cycles of the RTL through Verilator (CYCLES=2000000)
	@tools/setup.sh verilator
	$(PY) -m azsim.rtl_check.volume --cycles $(or $(CYCLES),2000000)

rtl-synth: .venv/.setup-test ## size of the decoder in generic gates (yosys); ECP5=1: also placed on an ECP5
	@tools/setup.sh yosys
	$(PY) tools/rtl_synth.py $(if $(ECP5),--ecp5)

rtl-formal: .venv/.setup-test ## prove the decoder's handshake properties (yosys, z3)
	@tools/setup.sh yosys
	$(PY) tools/rtl_formal.py

train: .venv/.setup-test ## train tiny_rnnt on synthetic speech, two hours and more (FOLDER=runs/training; goes on where it stopped)
	@tools/setup.sh train
	PY=$(PY) training/run.sh $(or $(FOLDER),runs/training)
