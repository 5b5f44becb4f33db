"""The memory model beside second sources: CACTI and OpenRAM, run under stated conditions.

python benchmarks/memory_sources.py                    tables from the figures kept in memory_sources.json
python benchmarks/memory_sources.py --cacti FOLDER     run CACTI anew; FOLDER holds its sources (`make memories` gets
                                                       and compiles them), and keep its figures
python benchmarks/memory_sources.py --openram PYTHON   run OpenRAM anew, minutes per memory, and keep its figures

CACTI 7 as in the package hwcomponents-cacti 1.0.40: 45 nm, one bank, RAM without tags, 300 K, access mode normal,
organisation by least energy · delay², wires global with 30 % delay penalty, semi-global inside, conservative; ITRS
high-performance devices at 1.0 V or low-operating-power devices at 0.7 V, in cells and periphery. OpenRAM 1.2.48:
FreePDK45, layout without supply routing, analytical timing and power, TT, 1.0 V, 25 °C. CACTI takes whole bytes: 28
bits are 32 there.
Energies are compared at 1.1 V, moved there by V².
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikesim.power_models.memories.model import Sram, sram

KEPT = Path(__file__).with_suffix(".json")
SUPPLY = 1.1
"""V at which energies are compared, that of the model."""
VOLTAGES = {"itrs-hp": 1.0, "itrs-lop": 0.7}
"""V of CACTI's devices, technology files 45nm.dat."""
CELLS = {"itrs-hp": "high_performance", "itrs-lop": "low_operating_power"}
OPENRAM_VOLTAGE = 1.0
OPENRAM_EVENTS_HZ = 100e6
"""default_event_frequency of technology/freepdk45: the power it states is of so many events a second."""

Ports = tuple[int, int, int]
SHARED: Ports = (1, 0, 0)
READ_WRITE: Ports = (0, 1, 1)
READ_READ_WRITE: Ports = (0, 2, 1)
"""Read-write, read and write ports."""

MEMORIES: tuple[tuple[str, int, int, Ports], ...] = (
    ("tile buffer", 32, 64, SHARED),
    ("tile buffer", 64, 64, SHARED),
    ("accumulators of 64 tiles", 64, 32, READ_WRITE),
    ("8 KB", 1024, 64, SHARED),
    ("32 KB", 4096, 64, SHARED),
    ("1 MB", 131072, 64, SHARED),
    ("row memory, one macro", 5600, 64, SHARED),
    ("row memory, one macro", 16384, 64, SHARED),
    ("row memory, bank in one piece", 4096, 512, SHARED),
    ("row memory, bank in one piece", 5600, 512, SHARED),
    ("row memory, bank in one piece", 16384, 512, SHARED),
    ("wide word", 4096, 128, SHARED),
    ("wide word", 4096, 256, SHARED),
    ("wide word", 16384, 128, SHARED),
    ("wide word", 16384, 256, SHARED),
    ("state memory, one macro", 256, 64, READ_WRITE),
    ("state memory, bank in one piece", 256, 1024, READ_WRITE),
    ("state memory, one macro", 1024, 64, READ_WRITE),
    ("state memory, bank in one piece", 1024, 1024, READ_WRITE),
    ("vector memory", 65536, 32, READ_READ_WRITE),
    ("vector memory, one bank of 4", 2048, 32, SHARED),
    ("vector memory, one bank of 4", 2048, 32, READ_WRITE),
    ("vector memory, one bank of 4", 2048, 32, READ_READ_WRITE),
    ("vector memory, one bank of 4", 512, 32, SHARED),
    ("vector memory, one bank of 4", 512, 32, READ_WRITE),
    ("vector memory, one bank of 4", 512, 32, READ_READ_WRITE),
)
LAID_OUT: tuple[tuple[str, int, int, Ports], ...] = (
    ("tile buffer", 32, 64, SHARED),
    ("tile buffer", 64, 64, SHARED),
    ("accumulators of 64 tiles", 64, 28, SHARED),
)

_SETTINGS = """\
-Array Power Gating - "false"
-WL Power Gating - "false"
-CL Power Gating - "false"
-Bitline floating - "false"
-Interconnect Power Gating - "false"
-Power Gating Performance Loss "default"
-single ended read ports 0
-page size (bits) 0
-burst length 8
-internal prefetch width 8
-operating temperature (K) 300
-access mode (normal, sequential, fast) - "normal"
-design objective (weight delay, dynamic power, leakage power, cycle time, area) 0:0:0:100:0
-deviate (delay, dynamic power, leakage power, cycle time, area) 20:100000:100000:100000:100000
-NUCAdesign objective (weight delay, dynamic power, leakage power, cycle time, area) 100:100:0:0:100
-NUCAdeviate (delay, dynamic power, leakage power, cycle time, area) 10:10000:10000:10000:10000
-Optimize ED or ED^2 (ED, ED^2, NONE): "ED^2"
-Cache model (NUCA, UCA)  - "UCA"
-NUCA bank count 0
-Wire signaling (fullswing, lowswing, default) - "Global_30"
-Wire inside mat - "semi-global"
-Wire outside mat - "semi-global"
-Interconnect projection - "conservative"
-Core count 1
-Add ECC - "false"
-Print level (DETAILED, CONCISE) - "DETAILED"
-Print input parameters - "true"
-Force cache config - "false"
-Ndwl 1
-Ndbl 1
-Nspd 0
-Ndcm 1
-Ndsam1 0
-Ndsam2 0
-dram_type "DDR3"
-io state "WRITE"
-addr_timing 1.0
-mem_density 4 Gb
-bus_freq 800 MHz
-duty_cycle 1.0
-activity_dq 1.0
-activity_ca 0.5
-num_dq 72
-num_dqs 18
-num_ca 25
-num_clk  2
-num_mem_dq 2
-mem_data_width 8
-rtt_value 10000
-ron_value 34
-tflight_value
-num_bobs 1
-capacity 80
-num_channels_per_bob 1
-first metric "Cost"
-second metric "Bandwidth"
-third metric "Energy"
-DIMM model "ALL"
-mirror_in_bob "F"
-technology (u) 0.045
-UCA bank 1
-cache type "ram"
-tag size (b) 0
-associativity 1
"""
"""What CACTI reads besides sizes, ports and devices; much of it is of caches and DRAM and changes nothing here."""


def model_of(words: int, bits: int, ports: Ports, device: str = "itrs-lop") -> Sram:
    """The project's own figures of the same memory."""
    shared, reads, writes = ports
    return sram(
        words,
        bits,
        read_ports=shared or reads,
        write_ports=shared or writes,
        shared_port=bool(shared),
        cells=CELLS[device],  # type: ignore[arg-type]
    )


def kept() -> dict[str, list[dict[str, Any]]]:
    """By source, its figures: words, bits, ports, then µm², pJ at 1.1 V, mW, ns; CACTI's by device."""
    found: dict[str, list[dict[str, Any]]] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


def run_cacti(folder: Path) -> Iterator[dict[str, Any]]:
    """Figures of `MEMORIES` with either kind of device. Raises SystemExit where CACTI fails."""
    for name, words, bits, (shared, reads, writes) in MEMORIES:
        for device, voltage in VOLTAGES.items():
            settings = _SETTINGS + "".join(
                f"{line}\n"
                for line in (
                    f"-size (bytes) {words * bits // 8}",
                    f"-block size (bytes) {bits // 8}",
                    f"-output/input bus width {bits}",
                    f"-read-write port {shared}",
                    f"-exclusive read port {reads}",
                    f"-exclusive write port {writes}",
                    *(
                        f'-{array} array {part} type - "{device}"'
                        for array in ("Data", "Tag")
                        for part in ("cell", "peripheral")
                    ),
                )
            )
            row = _cacti(folder, settings)
            at_supply = 1e3 * (SUPPLY / voltage) ** 2
            yield {
                "name": name,
                "words": words,
                "bits": bits,
                "ports": [shared, reads, writes],
                "device": device,
                "area_um2": _rounded(1e6 * float(row["Area (mm2)"])),
                "read_pj": _rounded(at_supply * float(row["Dynamic read energy (nJ)"])),
                "write_pj": _rounded(at_supply * float(row["Dynamic write energy (nJ)"])),
                "leakage_mw": _rounded(float(row["Standby leakage per bank(mW)"])),
                "access_ns": _rounded(float(row["Access time (ns)"])),
            }


def _cacti(folder: Path, settings: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "memory.cfg"
        file.write_text(settings, encoding="ascii")
        done = subprocess.run(
            ["./cacti", "-infile", str(file)], cwd=folder, capture_output=True, text=True, check=False
        )
        results = file.with_suffix(".cfg.out")
        if done.returncode or not results.exists():
            raise SystemExit(f"CACTI must be able to model this memory:\n{settings}{done.stdout[-500:]}")
        *_, row = csv.DictReader(results.read_text(encoding="ascii").splitlines())
    return {key.strip(): value for key, value in row.items() if key}


def run_openram(python: str) -> Iterator[dict[str, Any]]:
    """Figures of `LAID_OUT`. Raises SystemExit where OpenRAM fails."""
    finder = "import importlib.util as u; print(u.find_spec('openram').submodule_search_locations[0])"
    found = subprocess.run([python, "-c", finder], capture_output=True, text=True, check=True)
    package = Path(found.stdout.strip())
    places = {"OPENRAM_HOME": str(package / "compiler"), "OPENRAM_TECH": str(package / "technology")}
    for name, words, bits, ports in LAID_OUT:
        with tempfile.TemporaryDirectory() as place:
            settings = {
                "word_size": bits,
                "num_words": words,
                "num_rw_ports": 1,
                "num_r_ports": 0,
                "num_w_ports": 0,
                "tech_name": "freepdk45",
                "nominal_corner_only": True,
                "route_supplies": False,
                "check_lvsdrc": False,
                "perimeter_pins": False,
                "analytical_delay": True,
                "output_name": "memory",
                "output_path": f"{place}/out",
            }
            (Path(place) / "memory.py").write_text(
                "".join(f"{key} = {value!r}\n" for key, value in settings.items()), encoding="ascii"
            )
            command = [python, str(package / "sram_compiler.py"), "memory.py"]
            done = subprocess.run(
                command, cwd=place, env=os.environ | places, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"OpenRAM must be able to lay out {words} × {bits}:\n{done.stdout[-500:]}")
            yield {"name": name, "words": words, "bits": bits, "ports": list(ports)} | laid_out(
                Path(place) / "out"
            )


def laid_out(folder: Path) -> dict[str, float]:
    """Figures of a memory from the LEF and the Liberty file that OpenRAM wrote."""
    lef = next(folder.glob("*.lef")).read_text(encoding="ascii")
    lib = next(folder.glob("*.lib")).read_text(encoding="ascii")
    width, height = (float(side) for side in re.findall(r"SIZE ([\d.]+) BY ([\d.]+)", lef)[0])
    events = [float(v) for v in re.findall(r'internal_power.*?values\("([^"]+)"\)', lib, re.DOTALL)]
    delays = [float(v) for v in re.findall(r'cell_rise.*?values\("([\d.]+)', lib, re.DOTALL)]
    at_supply = (SUPPLY / OPENRAM_VOLTAGE) ** 2
    return {
        "area_um2": _rounded(width * height),
        "read_pj": _rounded(1e9 * at_supply * max(events) / OPENRAM_EVENTS_HZ),
        "access_ns": _rounded(max(delays)),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def cacti_table(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Markdown: CACTI's figures, and behind each the model's ÷ it; energy, area of either kind of device alike."""
    columns = (
        "area µm²",
        "read pJ",
        "write pJ",
        "leakage mW, LOP",
        "access ns, LOP",
        "leakage, HP",
        "access, HP",
    )
    yield f"| memory | ports | {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for fast in figures:
        if fast["device"] != "itrs-hp":
            continue
        size = fast["words"], fast["bits"], tuple(fast["ports"])
        slow = next(
            f
            for f in figures
            if f["device"] == "itrs-lop" and (f["words"], f["bits"], tuple(f["ports"])) == size
        )
        mine, hot = model_of(*size), model_of(*size, device="itrs-hp")
        cells = [
            f"{fast['name']}, {size[0]} × {size[1]}",
            ports_text(size[2]),
            _beside(fast["area_um2"], mine.area_um2),
            _beside(fast["read_pj"], 1e12 * mine.read_energy_j),
            _beside(fast["write_pj"], 1e12 * mine.write_energy_j),
            _beside(slow["leakage_mw"], 1e3 * mine.leakage_w),
            _beside(slow["access_ns"], 1e9 * mine.access_s),
            f"× {1e3 * hot.leakage_w / fast['leakage_mw']:.2f}",
            f"× {1e9 * hot.access_s / fast['access_ns']:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def openram_table(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Markdown: OpenRAM's figures, and behind each the model's ÷ it."""
    yield "| memory | area µm² | read pJ | access ns |"
    yield "|---|---|---|---|"
    for entry in figures:
        mine = model_of(entry["words"], entry["bits"], tuple(entry["ports"]))
        cells = [
            f"{entry['name']}, {entry['words']} × {entry['bits']}",
            _beside(entry["area_um2"], mine.area_um2),
            _beside(entry["read_pj"], 1e12 * mine.read_energy_j),
            _beside(entry["access_ns"], 1e9 * mine.access_s),
        ]
        yield f"| {' | '.join(cells)} |"


def ports_text(ports: Ports) -> str:
    """As memory compilers write it."""
    return "".join(f"{n}{kind}" for n, kind in zip(ports, ("RW", "R", "W"), strict=True) if n)


def _beside(theirs: float, mine: float) -> str:
    return (
        f"{theirs:,.4g} (× {mine / theirs:.2f})"
        if theirs < 1000
        else f"{theirs:,.0f} (× {mine / theirs:.2f})"
    )


def main() -> None:
    """Run what is asked for, keep it, print all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cacti", type=Path, metavar="FOLDER")
    parser.add_argument("--openram", metavar="PYTHON")
    given = parser.parse_args()
    figures = kept() if KEPT.exists() else {}
    if given.cacti:
        figures["cacti"] = list(run_cacti(given.cacti.resolve()))
    if given.openram:
        figures["openram"] = list(run_openram(given.openram))
    if given.cacti or given.openram:
        lists = (
            f'"{source}": [\n' + ",\n".join(json.dumps(entry) for entry in found) + "\n]"
            for source, found in figures.items()
        )
        KEPT.write_text("{" + ",\n".join(lists) + "}\n", encoding="utf-8")
    print("CACTI; in brackets the model's figure ÷ CACTI's", *cacti_table(figures["cacti"]), sep="\n")
    if "openram" in figures:
        print("\nOpenRAM; in brackets the model's ÷ OpenRAM's", *openram_table(figures["openram"]), sep="\n")


if __name__ == "__main__":
    main()
