"""Emission: a folder with everything that a configuration of the core is: Verilog, images, manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikesim.hardware import HardwareConfig
from spikesim.layout import CoreLayout
from spikesim.program import Program
from spikesim.rtl.assemble import Executable, assemble
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.host_registers import OFFSETS
from spikesim.rtl.images import write_images
from spikesim.rtl.verilog import WAIVERS, verilog

TOP = "spike_core"
VERILOG_FILE = f"{TOP}.v"
MANIFEST_FILE = "manifest.json"


def emit_core(folder: Path, config: CoreConfig) -> Path:
    """Writes the Verilog of a core into `folder` and returns its path."""
    path = folder / VERILOG_FILE
    path.write_text(verilog(SpikeCore(config), TOP), encoding="utf-8")
    return path


def resident_config(hardware: HardwareConfig, layout: CoreLayout, *, dense: bool = False) -> CoreConfig:
    """The core of a hardware configuration with an event encoder that the programs fit into."""
    return core_config(
        hardware,
        dense=dense,
        encoder_rows=layout.encoder_rows,
        scatter_rows=layout.scatter_rows,
        blocks=layout.blocks,
    )


def emit_model(
    folder: Path,
    programs: Sequence[Program],
    layout: CoreLayout,
    hardware: HardwareConfig,
    *,
    dense: bool = False,
    general: bool = False,
) -> Executable:
    """Writes Verilog, images and manifest of a core that runs the programs.

    `general`: the core is for other programs too, as large as the hardware's limits say.
    """
    ways, lanes = hardware.array.ways, hardware.array.lanes
    executable = assemble(programs, layout, ways=ways)
    config = core_config(hardware, dense=dense) if general else resident_config(hardware, layout, dense=dense)
    emit_core(folder, config)
    images = write_images(folder, programs, layout, executable, ways=ways, lanes=lanes)
    write_manifest(folder, config, images, programs, layout, executable)
    return executable


def write_manifest(
    folder: Path,
    config: CoreConfig,
    images: dict[str, str] | None = None,
    programs: Sequence[Program] = (),
    layout: CoreLayout | None = None,
    executable: Executable | None = None,
) -> None:
    """What the folder holds and how to run it, as JSON."""
    manifest: dict[str, Any] = {
        "top": TOP,
        "verilog": VERILOG_FILE,
        "configuration": asdict(config),
        "registers": OFFSETS,
        "waivers": {waiver.code: waiver.reason for waiver in WAIVERS},
    }
    if layout is not None and executable is not None:
        manifest |= {
            "images": images,
            "token_entry": executable.token_entry,
            "clear_entry": executable.clear_entry,
            "input": {"address": layout.input, "words": input_words(programs)},
            "output": {"address": layout.output, "words": output_words(programs)},
            "used": {
                "vector_words": layout.vector_words,
                "row_words_per_bank": layout.row_words,
                "state_words_per_bank": layout.state_words,
                "instructions": len(executable.instructions),
            },
            "programs": [
                {"name": program.text.name, "kind": program.text.kind, "vectors": own.vectors}
                for program, own in zip(programs, layout.programs, strict=True)
            ],
            "instructions": [[i.program, i.instruction, i.unit.name] for i in executable.instructions],
        }
    text = json.dumps(manifest, indent=1)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def input_words(programs: Sequence[Program]) -> int:
    """Words of the vector that carries a token into the chain."""
    first = next((p for p in programs if p.text.inputs), programs[0])
    return first.text.vectors[first.text.inputs[0]] if first.text.inputs else 0


def output_words(programs: Sequence[Program]) -> int:
    """Words of the chain's result."""
    return programs[-1].text.vectors[programs[-1].text.output]
