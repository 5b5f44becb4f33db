"""What a stage does in a time step, and the record it keeps; knows nothing of Lava, which only carries its words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.microcode import Microcode
from spikesim.backends.lava.plan import Live, Numbered, Stage
from spikesim.backends.lava.spikes import spikes
from spikesim.backends.lava.timetable import Timetable
from spikesim.program import Gather, Program, Scatter, is_matrix

Words = NDArray[np.int32]


class StageRun:
    """A stage with its vectors, caches and states; `step` is called once per time step.

    `held`: int32[words], what it sends to the next stage in the coming step.
    """

    def __init__(self, stage: Stage, program: Program, coding: str, table: Timetable) -> None:
        self.stage, self.coding, self.table = stage, coding, table
        self.core = _microcode(stage, program)
        self.through = {live.name: np.zeros(live.words, np.int32) for live in _passing(stage)}
        self.held: Words = np.zeros(words_of(stage.live_out), np.int32)
        self._spikes: list[Words] = []
        self.record = StageRecord()

    def step(self, time_step: int, live: Words, sums: Sequence[Words]) -> list[Words]:
        """Take what arrives and return the spikes for each matrix: int32[channels], zeros while idle."""
        now = self.table.plane_at(time_step)
        if now is None:
            return [np.zeros(n.instruction.counts.words, np.int32) for n in self.stage.leaving]
        token, plane = now
        if plane == 0:
            self._begin(token, live, sums)
            self._spikes = [self._encode(n.instruction) for n in self.stage.leaving]
        sent = [steps[plane] for steps in self._spikes]
        for n, words in zip(self.stage.leaving, sent, strict=True):
            self.record.keep(f"spikes.{n.number}", words.astype(np.int8))
        return sent

    def finished(self, time_step: int) -> bool:
        """Whether the last plane of the last token was sent in this step."""
        return self.table.plane_at(time_step) == (self.table.tokens - 1, self.table.planes - 1)

    def save(self, path: Path) -> None:
        """Write the record, caches, states and widths."""
        self.record.save(path, self.core)

    def _begin(self, token: int, live: Words, sums: Sequence[Words]) -> None:
        """A token's work: what arrived, then every instruction, then what the next stage needs."""
        core = self.core
        core.begin(token)
        self.record.keep("arrived", live)
        at = 0
        for item in self.stage.live_in:
            target = self.through[item.name] if item.through else core.vectors[item.name]
            target[...] = live[at : at + item.words]
            at += item.words
        for n, words in zip(self.stage.arriving, sums, strict=True):
            core.write(n.instruction.dst, words.reshape(n.instruction.dst.groups, -1))
            self.record.keep(f"word.{n.number}.0", words)
        for n in self.stage.instructions:
            self._execute(n)
        parts = [
            self.through[item.name] if item.through else core.vectors[item.name]
            for item in self.stage.live_out
        ]
        self.held = np.concatenate(parts) if parts else self.held
        self.record.keep("sent", self.held)

    def _execute(self, n: Numbered) -> None:
        i = n.instruction
        if isinstance(i, Gather | Scatter):
            # before it writes, since an instruction may overwrite what it reads
            self.record.keep(f"counts.{n.number}", self.core.read(i.counts).astype(np.int32))
        self.core.execute(i)
        for k, view in enumerate(i.writes()):
            self.record.keep(f"word.{n.number}.{k}", self.core.read(view).astype(np.int32))

    def _encode(self, gather: Gather) -> Words:
        """int32[steps, channels]."""
        counts = self.core.read(gather.counts).reshape(-1)
        return spikes(counts, self.coding, self.table.planes)


class StageRecord:
    """Arrays kept token by token under a name; written as one `.npz`.

    Every name gives two arrays: `<name>` int32 of all tokens in a row, `<name>.sizes` int64[entries], how many words
    each entry has: attention has more with every token.
    """

    def __init__(self) -> None:
        self._kept: dict[str, list[NDArray[Any]]] = {}

    def keep(self, name: str, words: NDArray[Any]) -> None:
        """Append a copy."""
        self._kept.setdefault(name, []).append(words.reshape(-1).copy())

    def save(self, path: Path, core: Microcode) -> None:
        """Write everything kept, with the caches, states and widths of `core`."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, parts in self._kept.items():
            arrays[name] = np.concatenate(parts)
            arrays[f"{name}.sizes"] = np.array([part.size for part in parts], np.int64)
        for name, cache in core.caches.items():
            arrays |= {
                f"cache.{name}.keys": cache.keys,
                f"cache.{name}.values": cache.values,
                f"cache.{name}.means": cache.means,
                f"cache.{name}.block sums": cache.block_sum,
            }
        for name, state in core.states.items():
            arrays |= {f"state.{name}.rows": state.rows, f"state.{name}.factors": state.factors}
        widths = {op: {**vars(width), "vectors": sorted(width.vectors)} for op, width in core.widths.items()}
        arrays["widths"] = np.array(json.dumps(widths))
        np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes every name for `allow_pickle`


def words_of(live: Iterable[Live]) -> int:
    """Words of a border."""
    return sum(item.words for item in live)


def _passing(stage: Stage) -> set[Live]:
    return {item for item in (*stage.live_in, *stage.live_out) if item.through}


def _microcode(stage: Stage, program: Program) -> Microcode:
    """A core with the vectors, constants and stores that the stage uses, and no others."""
    text = program.text
    instructions = [n.instruction for n in stage.instructions]
    used = {item.name for item in (*stage.live_in, *stage.live_out) if not item.through}
    used |= {view.name for i in instructions for view in (*i.reads(), *i.writes())}
    used |= {n.instruction.dst.name for n in stage.arriving}
    used |= {n.instruction.counts.name for n in stage.leaving}
    keyed = {i.dst.name for i in instructions if i.keyed}
    stores = {i.store for i in instructions}
    return Microcode(
        words={name: text.vectors[name] for name in sorted(used - keyed) if name not in program.constants},
        constants={name: program.constants[name] for name in sorted(used) if name in program.constants},
        caches={name: spec for name, spec in text.caches.items() if name in stores},
        states={name: spec for name, spec in text.states.items() if name in stores},
        matrices={i.name: program.matrices[i.name] for i in instructions if is_matrix(i)},
    )
