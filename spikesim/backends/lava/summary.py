"""Puts an execution on Lava and the analysis of a target into a `LavaRun`."""

from __future__ import annotations

from collections.abc import Mapping

from spikesim.backends.lava.compare import traffic
from spikesim.backends.lava.depth import depth
from spikesim.backends.lava.place import place
from spikesim.backends.lava.plan import crossing
from spikesim.backends.lava.run import LavaResult
from spikesim.backends.lava.spikes import GRADED, steps_needed
from spikesim.backends.lava.target import Target
from spikesim.results.lava import InstructionWidth, LavaRun, ProgramRun, Steps, Traffic


def summarise(found: LavaResult, target: Target, kinds: Mapping[str, str]) -> LavaRun:
    """Everything that a report shows of an execution, on this target. `kinds`: what each program is to a reader."""
    programs = [expected.program for expected in found.expected]
    tokens = len(next(iter(found.expected[0].words.values())))
    rows = tuple(
        Traffic(
            coding=coding,
            planes=1 if coding == "dense" else steps_needed(programs, coding),
            spikes_per_token=spikes / tokens,
            synaptic_operations_per_token=operations / tokens,
            ran=coding == found.coding,
        )
        for coding, spikes, operations in traffic(found.expected)
    )
    analysed = depth(programs, found.links, found.planes)
    # Fixed neurons only add up planes; programmable ones run every instruction of the interval.
    steps = max(found.planes, analysed.interval) if target.programmable else found.planes
    placement = place(programs, target, coding=found.coding, traffic=rows, steps_per_token=steps, kinds=kinds)
    return LavaRun(
        coding=found.coding,
        tokens=tokens,
        context=max(1, placement.context),
        exact=found.exact,
        differences=tuple(found.comparison.differences),
        programs=_programs(found, tokens, kinds),
        traffic=rows,
        widths=_widths(found),
        steps=Steps(
            stages=sum(len(network.stages) for network in found.networks),
            planes=found.planes,
            run=found.steps,
            latency=analysed.latency,
            interval=analysed.interval,
            interval_of=analysed.interval_of,
        ),
        placement=placement,
        networks=len(found.networks),
        processes=found.processes,
        seconds=dict(found.seconds),
        memory_bytes=found.memory,
    )


def _programs(found: LavaResult, tokens: int, kinds: Mapping[str, str]) -> tuple[ProgramRun, ...]:
    stages: dict[str, int] = {}
    for network in found.networks:
        for stage in network.stages:
            stages[stage.program] = stages.get(stage.program, 0) + 1
    rows = []
    for expected in found.expected:
        text = expected.program.text
        matrices = len(crossing(expected.program))
        rows.append(
            ProgramRun(
                name=text.name,
                kind=kinds.get(text.name, ""),
                stages=stages[text.name],
                processes=stages[text.name] + matrices * (1 if found.coding == GRADED else 2),
                matrices=matrices,
                compared=found.comparison.of(text.name),
                spikes_per_token=found.comparison.spikes.get(text.name, 0) / tokens,
                synaptic_operations_per_token=(
                    found.comparison.synaptic_operations.get(text.name, 0) / tokens
                ),
            )
        )
    return tuple(rows)


def _widths(found: LavaResult) -> tuple[InstructionWidth, ...]:
    """Widths by kind of instruction, those of the widest products first."""
    rows = (
        InstructionWidth(
            op=op,
            words=width["words"],
            beyond_24_bits=width["beyond"],
            widest_word_bits=_bits(width["word"]),
            widest_product_bits=_bits(width["product"]),
            vectors=tuple(sorted(width["vectors"])),
        )
        for op, width in found.comparison.widths.items()
    )
    return tuple(sorted(rows, key=lambda row: -row.widest_product_bits))


def _bits(magnitude: int) -> int:
    """Bits of a signed number of this magnitude; 0 for none."""
    return magnitude.bit_length() + 1 if magnitude else 0
