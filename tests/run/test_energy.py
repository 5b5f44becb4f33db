"""The estimate of a whole model's energy: counts times rates by hand, moved to other hardware as it says."""

from __future__ import annotations

import pytest

from spikesim.cores import CORES
from spikesim.cycle.cost import Counters
from spikesim.hardware import HardwareConfig
from spikesim.power_models.energies import shipped_energies
from spikesim.power_models.memories.model import Sram, dram_energy_j, sram_within
from spikesim.results.base import Rates
from spikesim.results.energy import Energies, EnergyRate
from spikesim.rtl.memory import macro_bits
from spikesim.run import energy
from spikesim.run.energy import Usage, array_of, estimate, memories_of, nearest
from spikesim.run.observers import InstructionCost

HARDWARE = HardwareConfig().replace(
    **{
        "memory.row_kib": 2048,
        "memory.state_kib": 256,
        "memory.vector_words": 65536,
        "memory.program_words": 65536,
    }
)
RATES: dict[str, tuple[str, float, float]] = {
    energy.ARRAY: ("events", 2.0, 1.0),
    energy.ENCODER: ("events", 0.5, 0.1),
    energy.ADDRESSING: ("array_cycles", 3.0, 0.2),
    energy.ROWS: ("row_reads", 400.0, 60.0),
    energy.UPDATE: ("update_cycles", 50.0, 12.0),
    energy.STATE: ("update_cycles", 70.0, 7.0),
    energy.VECTOR: ("vector_words", 110.0, 9.0),
    energy.PROGRAM: ("cycles", 2.0, 5.0),
    energy.POINTWISE: ("pointwise_words", 40.0, 1.0),
    energy.CONTROL: ("cycles", 10.0, 0.5),
}


def measured(hardware: HardwareConfig = HARDWARE, *, skipping: bool = True) -> Energies:
    """The twin takes twice what spiking does of everything, that which skips zeros three times."""

    def rates(value: float) -> Rates:
        return Rates(spiking=value, dense=2 * value, skipping=3 * value if skipping else None)

    return Energies(
        command="spikesim compare model",
        created="2026-11-25T00:00:00+00:00",
        version="0.1.0",
        model="model",
        library="cells",
        node="45 nm",
        voltage_v=1.1,
        clock_mhz=500,
        array=array_of(hardware),
        memories=memories_of(hardware),
        memory_access_ns=1.5,
        rates=tuple(
            EnergyRate(
                component=name,
                per=per,  # type: ignore[arg-type]
                dynamic_pj=rates(pj),
                leakage_mw=rates(mw),
                area_um2=rates(1e4 * mw),
            )
            for name, (per, pj, mw) in RATES.items()
        ),
        error=Rates(spiking=0.01, dense=-0.02),
    )


def usage(cores: int = 1, dram: float = 0) -> Usage:
    """Two tokens."""
    counters = Counters(events=600, row_reads=80, array_cycles=100, pointwise_words=1200, vector_words=3000)
    counters.row_reads_dense, counters.array_cycles_dense = 900, 150
    counters.row_reads_skipping, counters.array_cycles_skipping = 300, 60
    cycles = {"gather matrix": 1000, "scatter": 200, "decay": 100, "norm": 300}
    costs = [InstructionCost(label=name, cycles=dict.fromkeys(CORES, n)) for name, n in cycles.items()]
    return Usage(
        tokens=2,
        cores=cores,
        counters=counters,
        costs=costs,
        elapsed=dict.fromkeys(CORES, 2000.0),
        dram_bytes=dram,
    )


def rows_of(hardware: HardwareConfig) -> Sram:
    """A bank of row memory: macros of some lanes side by side."""
    depth, width = hardware.rows_per_bank, 8 * hardware.array.lanes
    bits = macro_bits(width, depth)
    return sram_within(1.5e-9, depth, width, shared_port=True, write_granule=8, macro_bits=bits).whole


def test_counts_times_rates_by_hand() -> None:
    found = estimate(measured(), usage(), HARDWARE)
    spiking = {name: rates.spiking for name, rates in found.components.items()}
    expected = {
        energy.ARRAY: 300 * 2.0,
        energy.ENCODER: 300 * 0.5,
        energy.ADDRESSING: 50 * 3.0,
        energy.ROWS: 40 * 400.0,
        energy.UPDATE: 150 * 50.0,
        energy.STATE: 150 * 70.0,
        energy.VECTOR: 1500 * 110.0,
        energy.PROGRAM: 800 * 2.0,
        energy.POINTWISE: 600 * 40.0,
        energy.CONTROL: 800 * 10.0,
        # 95.8 mW for 1,000 cycles of 2 ns
        energy.LEAKAGE: 1e-3 * 95.8 * 2e-6 * 1e12,
        energy.FILLS: 0,
        energy.DRAM: 0,
    }
    assert spiking == pytest.approx({name: 1e-6 * pj for name, pj in expected.items()})
    assert found.total_uj.spiking == pytest.approx(1e-6 * sum(expected.values()))
    assert found.components[energy.ARRAY].dense == pytest.approx(1e-6 * 450 * 4)
    assert found.components[energy.ROWS].skipping == pytest.approx(1e-6 * 150 * 1200)
    assert found.areas_mm2[energy.ROWS].dense == pytest.approx(2 * 0.6)
    assert found.total_mm2.spiking == pytest.approx(0.958)
    assert found.error == measured().error
    assert "2026-11-25" in found.source


def test_a_core_that_was_not_measured_is_left_out() -> None:
    found = estimate(measured(skipping=False), usage(), HARDWARE)
    assert found.total_uj.skipping is None
    assert found.total_uj.dense is not None


def test_more_cores_leak_longer_and_share_instructions() -> None:
    """Events and words are what they are; each of four cores takes an instruction's cycles, and leaks all the time."""
    one, four = (estimate(measured(), usage(cores), HARDWARE).components for cores in (1, 4))
    areas = [estimate(measured(), usage(cores), HARDWARE).total_mm2 for cores in (1, 4)]
    assert areas[1].dense == pytest.approx(4 * areas[0].dense)
    for name in one:
        more = (
            4 if name in (energy.UPDATE, energy.STATE, energy.PROGRAM, energy.CONTROL, energy.LEAKAGE) else 1
        )
        assert four[name].spiking == pytest.approx(more * one[name].spiking), name


def test_rates_are_moved_by_lanes_and_by_the_memory_model() -> None:
    wide = HARDWARE.replace(**{"array.lanes": 2 * HARDWARE.array.lanes, "array.order": "row"})
    here, there = (estimate(measured(), usage(), hardware) for hardware in (wide, HARDWARE))
    ratio = {
        name: here.components[name].spiking / rates.spiking
        for name, rates in there.components.items()
        if rates.spiking
    }
    assert ratio[energy.ARRAY] == ratio[energy.ADDRESSING] == ratio[energy.UPDATE] == pytest.approx(2)
    assert ratio[energy.ENCODER] == ratio[energy.POINTWISE] == ratio[energy.CONTROL] == pytest.approx(1)
    expected = rows_of(wide).read_energy_j / rows_of(HARDWARE).read_energy_j
    assert ratio[energy.ROWS] == pytest.approx(expected)
    assert "lanes 128, order row" in here.notes[0]
    assert "lanes" not in there.notes[0].split(",")[0]


def test_larger_memories_take_and_leak_more() -> None:
    large = HARDWARE.replace(**{"memory.vector_words": 8 * 65536})
    here, there = (estimate(measured(), usage(), hardware).components for hardware in (large, HARDWARE))
    assert here[energy.VECTOR].spiking > 1.5 * there[energy.VECTOR].spiking
    assert here[energy.LEAKAGE].spiking > 1.2 * there[energy.LEAKAGE].spiking
    assert here[energy.ROWS] == there[energy.ROWS]
    areas = [estimate(measured(), usage(), hardware).areas_mm2 for hardware in (large, HARDWARE)]
    assert areas[0][energy.VECTOR].spiking > 6 * areas[1][energy.VECTOR].spiking
    assert areas[0][energy.ROWS] == areas[1][energy.ROWS]


def test_a_wider_pointwise_unit_leaks_more_and_takes_the_same_for_a_word() -> None:
    wider = HARDWARE.replace(**{"pointwise.words": 2 * HARDWARE.pointwise.words})
    here, there = (estimate(measured(), usage(), hardware) for hardware in (wider, HARDWARE))
    assert here.components[energy.POINTWISE] == there.components[energy.POINTWISE]
    assert here.components[energy.LEAKAGE].spiking > there.components[energy.LEAKAGE].spiking
    ratio = here.areas_mm2[energy.POINTWISE].spiking / there.areas_mm2[energy.POINTWISE].spiking
    assert ratio == pytest.approx(2)
    assert any(f"pointwise words {wider.pointwise.words}" in note for note in here.notes)


def test_dram_is_every_byte_at_its_price() -> None:
    found = estimate(measured(), usage(dram=2e6), HARDWARE)
    assert found.components[energy.DRAM].spiking == pytest.approx(1e6 * dram_energy_j(1e6, "lpddr4"))
    assert found.components[energy.DRAM].spiking == found.components[energy.DRAM].dense


def test_writes_of_row_memory_are_counted() -> None:
    """Rows that streamed in, and counts that were stored: each into one of the eight macros that hold a row."""
    filled = usage()
    filled.counters.row_fills, filled.counters.row_stores = 1000, 80
    found = estimate(measured(), filled, HARDWARE)
    write = rows_of(HARDWARE).write_energy_j
    assert found.components[energy.FILLS].spiking == pytest.approx(1e6 * 505 * write)
    assert found.components[energy.FILLS].spiking == found.components[energy.FILLS].skipping


def test_the_nearest_design_is_taken() -> None:
    row = HARDWARE.replace(**{"array.order": "row"})
    designs = [measured(), measured(row)]
    assert nearest(designs, row) is designs[1]
    assert nearest(designs, row.replace(**{"array.ways": 4})) is designs[1]
    assert nearest([], row) is None


def test_what_is_shipped_was_measured() -> None:
    """Every component, on gates, with its date and an error that is no larger than an estimate's may be."""
    for entry in shipped_energies():
        assert {rate.component for rate in entry.rates} == set(RATES)
        assert all(rate.per == RATES[rate.component][0] for rate in entry.rates)
        assert entry.command.startswith("spikesim compare")
        assert abs(entry.error.spiking) < 0.15
        assert abs(entry.error.dense) < 0.15
    assert shipped_energies()
