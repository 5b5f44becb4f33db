"""Latency and interval in time steps, if every instruction of a chain of programs were one neuron group.

Analysis only: nothing of it ran. The rules, all in time steps:

* A group computes at the step after the last of its inputs has arrived. A gather (of matrix, cache or state) takes
  one step per bit plane, a graded gather one; every other instruction takes one.
* A statistic that an instruction takes of its result is a sum of its own by fan-in: one step more.
* The words of a token come from a group of their own, one step before the first instruction.
* What is read is the whole vector: a group waits for every earlier writer of the vector, not of the words alone.
* An instruction that touches a cache or state waits for those before it that changed the same one.

*Latency* is the longest such path from a token's words to the results of the last program. *Interval* is the longest
path through one cache or state, from the first instruction of a token that touches it to the last one that changes
it, both included; the next token's first access must wait for that last change, so tokens cannot follow more closely.

Both walk once over the instructions: time is linear in their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spikesim.program import End, Gather, Link, Program, View


@dataclass(frozen=True)
class Depth:
    """Time steps of a chain, and the cache or state that decides its interval ("" if there is none)."""

    latency: int
    interval: int
    interval_of: str = ""


def depth(programs: Iterable[Program], links: Sequence[Link], planes: int = 1) -> Depth:
    """Latency and interval of programs that run one after the other, with `planes` time steps per value.

    `links`: of their chain. What comes from no earlier one of the programs comes with the token.
    """
    if planes < 1:
        raise ValueError(f"planes must be a whole number from 1, not {planes}")
    sources = {link.to: link.source for link in links}
    passed: dict[End | None, int] = {}
    latency, interval, decides = 1, 1, ""
    for program in programs:
        text = program.text
        ends = {name: End(program=text.name, port=name) for name in (*text.input_names, *text.output_names)}
        arrived = {name: passed.get(sources.get(ends[name]), 1) for name in text.input_names}
        arrived = _arrivals(program, planes, arrived)
        passed |= {ends[name]: arrived.get(name, 1) for name in text.output_names}
        latency = max(latency, *arrived.values(), 1)
        for store, steps in _recurrences(program, planes).items():
            if steps > interval:
                interval, decides = steps, f"{program.text.name}: {store}"
    return Depth(latency=latency, interval=interval, interval_of=decides)


def _arrivals(program: Program, planes: int, arrived: dict[str, int]) -> dict[str, int]:
    """When each vector of a program is complete, given when its inputs are."""
    arrived = dict(arrived)
    changed: dict[str, int] = {}
    for instruction in program.instructions():
        store = instruction.store
        ready = max((arrived.get(view.name, 0) for view in instruction.reads()), default=0)
        if store is not None:
            ready = max(ready, changed.get(store, 0))
        done = ready + _steps(instruction, planes)
        for view in instruction.writes():
            arrived[view.name] = max(arrived.get(view.name, 0), done + _is_statistic(instruction, view))
        if store is not None and instruction.changes_store:
            changed[store] = done
    return arrived


def _recurrences(program: Program, planes: int) -> dict[str, int]:
    """Steps of the longest path from the first access of each cache or state to its last change."""
    found: dict[str, int] = {}
    stores = {instruction.store for instruction in program.instructions()} - {None}
    for store in stores:
        # Steps since the first access; what does not depend on one has no entry.
        since: dict[str, int] = {}
        last = 0
        for instruction in program.instructions():
            touches = instruction.store == store
            behind = [since[view.name] for view in instruction.reads() if view.name in since]
            if not touches and not behind:
                continue
            done = max([*behind, last if touches else 0]) + _steps(instruction, planes)
            for view in instruction.writes():
                since[view.name] = max(since.get(view.name, 0), done + _is_statistic(instruction, view))
            if touches and instruction.changes_store:
                last = done
        if store is not None and last:
            found[store] = last
    return dict(sorted(found.items()))


def _steps(instruction: object, planes: int) -> int:
    return planes if isinstance(instruction, Gather) else 1


def _is_statistic(instruction: object, written: View) -> bool:
    reduction = getattr(instruction, "reduce", None)
    return reduction is not None and written is reduction.dst
