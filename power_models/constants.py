"""Numbers from outside: memories (`MEMORY`), operations and published results (`PUBLISHED`), each with its source.

A figure without a source is `assumed` and says why it has its value. Reports show both tuples as they are.
"""

from __future__ import annotations

import math

from spikesim.results.comparison import SourcedValue

_HOROWITZ = "M. Horowitz, Computing's energy problem, ISSCC 2014, pp. 10-14"
_HOROWITZ_TABLE = f"{_HOROWITZ}; table as used in the energy section of SpikingBrain 1.0 (arXiv 2509.05276)"
_OPENRAM = "OpenRAM 1.2.48 (PyPI), technology/freepdk45/gds_lib, bounding boxes on layer 239"
_FAKERAM = "OpenROAD-flow-scripts, flow/platforms/nangate45/lib"
_NANGATE = "Nangate45 open cell library, typical corner, 25 °C"
_CACTI = "CACTI 6.5 to 7, technology.cc, 45 nm, 300 K: off plus gate current per µm, ITRS device types"
_CACTI_RUN = "CACTI 7 (hwcomponents-cacti 1.0.40), benchmarks/memory_sources.json"
_MICRO17 = "M. O'Connor et al., Fine-Grained DRAM, MICRO 2017, doi 10.1145/3123939.3124545"
_SPIKINGBRAIN2 = (
    "README drafts of the SpikingBrain 2.0 repository; the paper (arXiv 2604.22575) was not available"
)


def _constant(
    name: str,
    value: float,
    unit: str,
    source: str,
    node: str = "",
    voltage: str = "",
    *,
    assumed: bool = False,
) -> SourcedValue:
    return SourcedValue(
        name=name, value=value, unit=unit, node=node, voltage=voltage, source=source, assumed=assumed
    )


CELL_AREA = _constant(
    "6T cell",
    0.346,
    "µm²",
    "K. Mistry et al., A 45 nm logic technology with high-k + metal gate transistors, IEDM 2007",
    "45 nm",
)
CELL_8T = _constant(
    "8T cell (one read, one write port) ÷ 6T",
    1.30,
    "",
    "L. Chang et al., Stable SRAM cell design for the 32 nm node and beyond, VLSI Technology 2005",
    "32 to 65 nm",
)
CELL_PORT = _constant(
    "cell area of each further full port ÷ 6T",
    1.175 * 1.495 / (0.705 * 1.345) - 1,
    "",
    f"{_OPENRAM}: cell_2rw 1.175 × 1.495 µm, cell_1rw 0.705 × 1.345 µm",
    "45 nm",
)
ARRAY_EFFICIENCY = _constant(
    "cells ÷ area inside the sub-arrays of a large macro",
    0.75,
    "",
    "typical of published macros (0.7 to 0.8); with it four of five CACTI macros (fakeram45) come out within 1.1",
    assumed=True,
)
COLUMN_HEIGHT = _constant(
    "sense amplifier, write driver and output buffer of a column",
    6.010 + 4.175 + 2.975,
    "µm",
    f"{_OPENRAM}: heights of sense_amp, write_driver and tri_gate",
    "45 nm",
)
ROW_DEPTH = _constant(
    "decoder and word line driver of a row",
    13.16,
    "µm",
    "as deep as a column's circuits are high",
    "45 nm",
    assumed=True,
)
CACHE_8K = _constant("read 64 bits of 8 KB", 10e-12, "J", _HOROWITZ, "45 nm", "0.9 V")
CACHE_32K = _constant("read 64 bits of 32 KB", 20e-12, "J", _HOROWITZ, "45 nm", "0.9 V")
CACHE_1M = _constant("read 64 bits of 1 MB", 100e-12, "J", _HOROWITZ, "45 nm", "0.9 V")
SHARED_BITS = _constant(
    "decoder, clock and word line, as so many bits of the word",
    34.0,
    "bit",
    f"{_FAKERAM}: clock energy of fakeram45_512x64 ÷ fakeram45_1024x32 = 5300.43 ÷ 3566.4 at equal size",
    "45 nm",
    "1.1 V",
)
WIDE_WORD = _constant(
    "read of a word of more than 64 bits ÷ its pieces of 64 bits, at most",
    1.14,
    "",
    f"{_CACTI_RUN}: 512 bits in one piece ÷ eight of 64 bits, 4,096, 5,600 and 16,384 words: 1.10, 1.14 and 1.18",
    "45 nm",
)
WRITE_RATIO = _constant(
    "energy of a write ÷ a read of the same word",
    1.0,
    "",
    "the sources do not tell writes from reads; full swing on the written columns against sense amplifiers on all",
    assumed=True,
)
ACCESS_BASE = _constant(
    "access time without the array",
    0.164e-9,
    "s",
    f"{_FAKERAM}: line through fakeram45_64x32 (0.207 ns) and fakeram45_2048x39 (0.435 ns), CACTI, ITRS-HP devices",
    "45 nm",
    "1.1 V",
)
ACCESS_ROOT_BIT = _constant(
    "access time per √bit",
    0.958e-12,
    "s",
    f"{_FAKERAM}: same line",
    "45 nm",
    "1.1 V",
)
_AROUND_FAKERAM = (
    ARRAY_EFFICIENCY.value * (COLUMN_HEIGHT.value + ROW_DEPTH.value) / math.sqrt(2048 * 39 * CELL_AREA.value)
)
"""Area around the cells of fakeram45_2048x39 ÷ that of its sub-arrays, by the model's own area."""
LEAKAGE_HP = _constant(
    "leakage per bit, high-performance cells, without what is around a small memory's cells",
    1876.6e-6 / (2048 * 39) / (1 + _AROUND_FAKERAM),
    "W",
    f"{_FAKERAM}: fakeram45_2048x39, 1876.6 µW, of which what is around the cells has its share of the area",
    "45 nm",
    "1.1 V",
)
LEAKAGE_LOP = _constant(
    "leakage of low-operating-power devices ÷ high-performance",
    (4.03e-9 + 3.24e-8) / (2.8e-7 + 3.59e-8),
    "",
    _CACTI,
    "45 nm",
)
LEAKAGE_LSTP = _constant(
    "leakage of low-standby-power devices ÷ high-performance",
    (1.01e-11 + 9.47e-12) / (2.8e-7 + 3.59e-8),
    "",
    _CACTI,
    "45 nm",
)
LEAKAGE_PORT = _constant(
    "leakage of each further port ÷ 6T",
    1 / 3,
    "",
    "two access transistors more to six",
    assumed=True,
)
_OFF_CURRENTS = "ITRS lets off currents per µm grow about tenfold from 180 nm to 65 nm, while widths shrink"
LEAKAGE_180 = _constant("leakage of a cell ÷ 45 nm", 0.15, "", _OFF_CURRENTS, "180 nm", "1.8 V", assumed=True)
LEAKAGE_130 = _constant("leakage of a cell ÷ 45 nm", 0.3, "", _OFF_CURRENTS, "130 nm", "1.3 V", assumed=True)
LEAKAGE_90 = _constant("leakage of a cell ÷ 45 nm", 0.6, "", _OFF_CURRENTS, "90 nm", "1.2 V", assumed=True)
FLIP_FLOP_AREA = _constant("flip-flop DFF_X1", 4.522, "µm²", _NANGATE, "45 nm", "1.1 V")
FLIP_FLOP_LEAKAGE = _constant("leakage of DFF_X1", 79.11e-9, "W", _NANGATE, "45 nm", "1.1 V")
MULTIPLEXER_AREA = _constant("multiplexer MUX2_X1", 1.862, "µm²", _NANGATE, "45 nm", "1.1 V")
MULTIPLEXER_LEAKAGE = _constant("leakage of MUX2_X1", 35.93e-9, "W", _NANGATE, "45 nm", "1.1 V")
MULTIPLEXER_DELAY = _constant(
    "delay of MUX2_X1 at 15 fF, slower edge", 0.082e-9, "s", _NANGATE, "45 nm", "1.1 V"
)
MASK_AREA = _constant(
    "write enable of a granule: flip-flop and AND2_X1", 4.522 + 1.064, "µm²", _NANGATE, "45 nm", "1.1 V"
)
FLIP_FLOP_ENERGY = _constant(
    "a flip-flop that takes a bit, clock gate and wire included",
    15e-15,
    "J",
    "DFF_X1 dissipates 5 to 10 fJ per clock and change in Nangate45's tables; as much again for clock and wire",
    "45 nm",
    "1.1 V",
    assumed=True,
)
MULTIPLEXER_ENERGY = _constant(
    "a multiplexer of the read tree per read",
    1e-15,
    "J",
    "some 4 fJ per change in Nangate45's tables, one in four changes",
    "45 nm",
    "1.1 V",
    assumed=True,
)
REGISTER_ACCESS = _constant(
    "access time of registers per doubling of their bits",
    0.03e-9,
    "s",
    "half a multiplexer and buffer of Nangate45",
    "45 nm",
    "1.1 V",
    assumed=True,
)
REGISTER_CLOCK_TO_OUTPUT = _constant(
    "clock to output of a flip-flop",
    0.1e-9,
    "s",
    "DFF_X1 at a usual load, Nangate45",
    "45 nm",
    "1.1 V",
    assumed=True,
)
REGISTER_LIMIT = _constant(
    "largest memory built of flip-flops",
    1024.0,
    "bit",
    "memory compilers start at some 1 to 4 kbit; one course that teaches both puts the crossing near 64 × 64",
    assumed=True,
)

DRAM_LOW = _constant("DRAM access of 64 bits, row open", 1.3e-9, "J", _HOROWITZ, "45 nm")
DRAM_HIGH = _constant("DRAM access of 64 bits, row closed", 2.6e-9, "J", _HOROWITZ, "45 nm")
DRAM_HBM2 = _constant("HBM2 per bit", 3.97e-12, "J", _MICRO17)
DRAM_GDDR5 = _constant("GDDR5 per bit", 14.0e-12, "J", _MICRO17)
DRAM_LPDDR4 = _constant(
    "LPDDR4 per bit",
    8.0e-12,
    "J",
    "between HBM2 (4) and GDDR5 (14); published estimates run from 4 to 18",
    assumed=True,
)

MEMORY: tuple[SourcedValue, ...] = (
    CELL_AREA,
    CELL_8T,
    CELL_PORT,
    ARRAY_EFFICIENCY,
    COLUMN_HEIGHT,
    ROW_DEPTH,
    CACHE_8K,
    CACHE_32K,
    CACHE_1M,
    SHARED_BITS,
    WIDE_WORD,
    WRITE_RATIO,
    ACCESS_BASE,
    ACCESS_ROOT_BIT,
    LEAKAGE_HP,
    LEAKAGE_LOP,
    LEAKAGE_LSTP,
    LEAKAGE_PORT,
    LEAKAGE_180,
    LEAKAGE_130,
    LEAKAGE_90,
    FLIP_FLOP_AREA,
    FLIP_FLOP_LEAKAGE,
    MULTIPLEXER_AREA,
    MULTIPLEXER_LEAKAGE,
    MULTIPLEXER_DELAY,
    MASK_AREA,
    FLIP_FLOP_ENERGY,
    MULTIPLEXER_ENERGY,
    REGISTER_ACCESS,
    REGISTER_CLOCK_TO_OUTPUT,
    REGISTER_LIMIT,
    DRAM_LOW,
    DRAM_HIGH,
    DRAM_HBM2,
    DRAM_GDDR5,
    DRAM_LPDDR4,
)
"""What `memory_model` computes with."""

PUBLISHED_REDUCTIONS = {"area": 0.706, "power": 0.465}
"""The published marks at 500 MHz, as shares; their conditions are in `PUBLISHED`."""

FP16_ENERGY = _constant("FP16 multiply-accumulate", 1.5, "pJ", _HOROWITZ_TABLE, "45 nm", "0.9 V")
FP16_ADDITION = _constant("FP16 addition", 1360, "µm²", _HOROWITZ, "45 nm", "0.9 V")
FP16_MULTIPLICATION = _constant("FP16 multiplication", 1640, "µm²", _HOROWITZ, "45 nm", "0.9 V")

PUBLISHED: tuple[SourcedValue, ...] = (
    FP16_ENERGY,
    _constant("INT8 multiply-accumulate", 0.23, "pJ", _HOROWITZ_TABLE, "45 nm", "0.9 V"),
    _constant("INT8 addition", 0.03, "pJ", _HOROWITZ_TABLE, "45 nm", "0.9 V"),
    FP16_ADDITION,
    FP16_MULTIPLICATION,
    _constant("INT8 addition", 36, "µm²", _HOROWITZ, "45 nm", "0.9 V"),
    _constant("INT8 multiplication", 282, "µm²", _HOROWITZ, "45 nm", "0.9 V"),
    _constant(
        "area saved by INT8-Spiking against INT8",
        70.6,
        "%",
        f"{_SPIKINGBRAIN2}. Not known: array and accumulator of the baseline, whether buffers are in it, corner, and "
        "whether throughput is equal",
        "28 nm",
    ),
    _constant(
        "power saved by INT8-Spiking against INT8 at 500 MHz",
        46.5,
        "%",
        f"{_SPIKINGBRAIN2}. Not known besides: the activity used",
        "28 nm",
    ),
    _constant(
        "power saved by INT8-Spiking against INT8 at 250 MHz",
        48.1,
        "%",
        f"{_SPIKINGBRAIN2}: one of two drafts gives the range 46.5 to 48.1. Not known besides: the activity used",
        "28 nm",
    ),
    _constant(
        "sparsity of spike sequences, SpikingBrain 2.0",
        64.31,
        "%",
        f"{_SPIKINGBRAIN2}. Not known: time steps (7 are likely), granularity of scales, which tensors",
    ),
    _constant(
        "sparsity, SpikingBrain 1.0",
        69.15,
        "%",
        "SpikingBrain 1.0 (arXiv 2509.05276). Not known: over which elements and steps it is counted; 1.13 spikes per "
        "value are given beside it",
    ),
)
"""What reports set beside what was measured."""
