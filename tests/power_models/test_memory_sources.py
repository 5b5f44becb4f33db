"""The memory model beside CACTI's and OpenRAM's figures: within bounds that docs/memories.md states, and its tables."""

from __future__ import annotations

from typing import Any

import memory_sources as sources
import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried

KEPT = sources.kept()
SMALL = 1 << 14
"""Bits below which sources differ by more than what they agree in."""


def of(*, fast: bool = True) -> list[dict[str, Any]]:
    return [entry for entry in KEPT["cacti"] if (entry["device"] == "itrs-hp") == fast]


def named(entry: dict[str, Any]) -> str:
    return f"{entry['words']}x{entry['bits']}-{sources.ports_text(tuple(entry['ports']))}"


def bits(entry: dict[str, Any]) -> int:
    return int(entry["words"] * entry["bits"])


def test_every_memory_is_kept_with_both_devices() -> None:
    wanted = [(words, bits, list(ports)) for _, words, bits, ports in sources.MEMORIES]
    for fast in (True, False):
        assert [(e["words"], e["bits"], e["ports"]) for e in of(fast=fast)] == wanted
    kept = [(e["words"], e["bits"], tuple(e["ports"])) for e in KEPT["openram"]]
    assert kept == [(words, bits, ports) for _, words, bits, ports in sources.LAID_OUT]


@pytest.mark.parametrize("entry", of(), ids=named)
def test_cacti_high_performance(entry: dict[str, Any]) -> None:
    """Reads cost more than CACTI's, which has no tags, and never less; areas, but for words wider than macros have."""
    mine = sources.model_of(entry["words"], entry["bits"], tuple(entry["ports"]), "itrs-hp")
    read = 1e12 * mine.read_energy_j / entry["read_pj"]
    area = mine.area_um2 / entry["area_um2"]
    if bits(entry) < SMALL:
        assert 1 < read < 4
        assert 2.9 < area < 4.7
    else:
        assert 1 < read < 2.8
        if entry["bits"] <= 512:
            assert 0.75 < area < 1.4
    assert 0.6 < 1e12 * mine.write_energy_j / entry["write_pj"] < 2.5
    assert 1.3 < 1e9 * mine.access_s / entry["access_ns"] < 2.5
    assert 0.3 < 1e3 * mine.leakage_w / entry["leakage_mw"] < 0.5


@pytest.mark.parametrize("entry", of(fast=False), ids=named)
def test_cacti_low_operating_power(entry: dict[str, Any]) -> None:
    """The default kind of cells: leakage within 0.65 and 1.05, though CACTI's run at 0.7 V; access as slow as 0.6."""
    mine = sources.model_of(entry["words"], entry["bits"], tuple(entry["ports"]))
    assert 0.65 < 1e3 * mine.leakage_w / entry["leakage_mw"] < 1.05
    assert 0.6 < 1e9 * mine.access_s / entry["access_ns"] < 1.1


def test_a_wide_word_is_worth_its_pieces() -> None:
    """What the model takes from CACTI: a word of 512 bits costs 1.1 to 1.2 times eight words of 64."""
    reads = {(e["words"], e["bits"]): e["read_pj"] for e in of() if e["ports"] == list(sources.SHARED)}
    factors = [reads[words, 512] / (8 * reads[words, 64]) for words in (4096, 5600, 16384)]
    assert sum(factors) / 3 == pytest.approx(sources.model_of(4096, 512, sources.SHARED).read_energy_j
        / (8 * sources.model_of(4096, 64, sources.SHARED).read_energy_j), rel=0.01)  # fmt: skip
    assert 1.09 < min(factors) < max(factors) < 1.19


@pytest.mark.parametrize("entry", KEPT["openram"], ids=named)
def test_layout_takes_more(entry: dict[str, Any]) -> None:
    """The smallest memories lie between CACTI's ideal ones and OpenRAM's layouts, in area and in energy."""
    mine = sources.model_of(entry["words"], entry["bits"], tuple(entry["ports"]))
    assert 0.25 < mine.area_um2 / entry["area_um2"] < 1
    assert 0.3 < 1e12 * mine.read_energy_j / entry["read_pj"] < 1.2


def test_tables_of_the_documentation() -> None:
    text = (CHECKOUT / "docs" / "memories.md").read_text(encoding="utf-8")
    for table in (sources.cacti_table(KEPT["cacti"]), sources.openram_table(KEPT["openram"])):
        assert "\n".join(table) in text


def test_layout_is_read_from_its_files(tmp_path: Any) -> None:
    """Area from the LEF; energy from the largest power and the frequency of OpenRAM's events; the slowest output."""
    (tmp_path / "memory.lef").write_text("MACRO memory\n SIZE 20.0 BY 10.5 ;\n", encoding="ascii")
    lines = ['internal_power(){\n when : "csb0";\n rise_power(scalar){\n values("1.0e-01"); } }']
    lines += ['cell_rise(T) {\n values("0.25, 0.30"); }', 'cell_rise(T) {\n values("0.20, 0.20"); }']
    (tmp_path / "memory_TT.lib").write_text("\n".join(lines), encoding="ascii")
    found = sources.laid_out(tmp_path)
    assert found == {"area_um2": 210.0, "read_pj": pytest.approx(1.21, rel=1e-3), "access_ns": 0.25}


@tried(
    9, "a folder without CACTI's program in `benchmarks/memory_sources.py --cacti`", "the system's sentence"
)
def test_no_cacti(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError, match="cacti"):
        next(sources.run_cacti(tmp_path))
