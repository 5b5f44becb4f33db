"""The files of a mapping that are written when all of its programs have run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikesim.mapping.frontend import OpenedModel, OpenedNetwork
from spikesim.program.compiled import (
    Block,
    Compiled,
    CompiledText,
    Host,
    Provenance,
    TextRule,
    open_compiled,
    write_compiled,
)
from spikesim.run.runner import Runner
from spikesim.support.files import write_json_atomic
from spikesim.version import __version__

MAPPING_FILE = "mapping.json"
"""What lies where, for a reader; nothing reads it back."""


def finish_mapping(
    output: Path,
    opened: OpenedModel | OpenedNetwork,
    runner: Runner,
    blocks: Sequence[Block],
    *,
    host: Host,
    reading: TextRule,
    command: str,
) -> Compiled:
    """Writes what lies where and `compiled.json`; opens it, which also verifies that what was written is a mapping."""
    placements = [{**vars(p), "dram_bytes": p.dram_bytes} for p in runner.finished()]
    write_json_atomic(output / MAPPING_FILE, {"programs": placements})
    write_compiled(
        output,
        CompiledText(
            provenance=Provenance(spikesim=__version__, source=opened.summary.source, command=command),
            model=opened.summary,
            hardware=runner.hardware,
            programs=tuple(block.program for block in blocks),
            links=opened.links,
            output=opened.output,
            blocks=tuple(blocks),
            host=host,
            reading=reading,
        ),
    )
    return open_compiled(output)


def stream_fraction(compiled: Compiled) -> int | dict[str, int]:
    """Binary point of what comes in; if what layers hand on has others, that of each, by program."""
    layers = {block.program for block in compiled.text.blocks if block.layer is not None}
    entry = compiled.entry.format.fraction
    found = {text.name: text.outputs[0].format.fraction for text in compiled.texts if text.name in layers}
    return entry if set(found.values()) <= {entry} else {"input": entry, **found}
