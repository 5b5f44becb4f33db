"""Emission: a folder with everything that a configuration of the core is: Verilog, images, manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from spikesim.hardware import HardwareConfig
from spikesim.program import Chain
from spikesim.program.layout import CoreLayout
from spikesim.program.sizes import Needs, fitted
from spikesim.rtl.assemble import Executable
from spikesim.rtl.config import CoreConfig, Target, core_config
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.host.registers import OFFSETS
from spikesim.rtl.images import write_images
from spikesim.rtl.isa import POSITION_BITS
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.support.files import write_json_atomic

TOP = "spike_core"
VERILOG_FILE = f"{TOP}.v"
MANIFEST_FILE = "manifest.json"


def emit_core(folder: Path, config: CoreConfig) -> Path:
    """Writes the Verilog of a core into `folder` and returns its path."""
    path = folder / VERILOG_FILE
    path.write_text(verilog(SpikeCore(config), TOP), encoding="utf-8")
    return path


def resident_config(
    hardware: HardwareConfig,
    layout: CoreLayout,
    *,
    dense: bool = False,
    skip_zeros: bool = False,
    target: Target = "asic",
) -> CoreConfig:
    """The core of a hardware configuration with an event encoder, and fitted memories, that hold the programs."""
    return core_config(
        fitted(hardware, Needs.of(layout)),
        dense=dense,
        skip_zeros=skip_zeros,
        encoder_rows=layout.encoder_rows,
        scatter_rows=layout.scatter_rows,
        blocks=layout.blocks,
        context=positions(layout),
        target=target,
    )


def positions(layout: CoreLayout) -> int:
    """How many positions the programs have room for: what software writes to CONTEXT."""
    most: int = 2**POSITION_BITS
    return most if layout.context is None else min(layout.context, most)


def emit_program(
    folder: Path,
    config: CoreConfig,
    chain: Chain,
    layout: CoreLayout,
    executable: Executable,
) -> dict[str, str]:
    """Writes the images of a chain of programs and the manifest; returns the file of every image's name."""
    images = write_images(
        folder,
        chain.programs,
        layout,
        executable,
        ways=config.ways,
        lanes=config.lanes,
        vector_banks=config.vector_banks,
    )
    write_json_atomic(
        folder / MANIFEST_FILE,
        {
            "top": TOP,
            "verilog": VERILOG_FILE,
            "configuration": asdict(config),
            "registers": OFFSETS,
            "waivers": {waiver.code: waiver.reason for waiver in WAIVERS},
            "images": images,
            "context": positions(layout),
            "token_entry": executable.token_entry,
            "clear_entry": executable.clear_entry,
            "input": {"address": layout.input, "words": chain.input_words},
            "output": {"address": layout.output, "words": chain.output_words},
            "used": {
                "vector_words": layout.vector_words,
                "row_words_per_bank": layout.row_words,
                "state_words_per_bank": layout.state_words,
                "instructions": len(executable.instructions),
            },
            "programs": [
                {
                    "name": program.text.name,
                    "vectors": own.vectors,
                    **{
                        kind: {name: asdict(place) for name, place in getattr(own, kind).items()}
                        for kind in ("matrices", "caches", "states")
                    },
                }
                for program, own in zip(chain.programs, layout.programs, strict=True)
            ],
            "instructions": [[i.program, i.instruction, i.unit.name] for i in executable.instructions],
        },
    )
    return images
