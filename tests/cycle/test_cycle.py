"""Cycles in closed form against a slow machine that takes one event, and drains one run of words, per cycle."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.played import banks_of, plane_order_cycles, window_order_cycles
from helpers.programs import angles, compiled_layer, small_config
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim import timing
from spikesim.cores import CORES
from spikesim.cycle.delivery import skip_cycles
from spikesim.cycle.model import CycleModel
from spikesim.golden.frame import Frame
from spikesim.hardware import HardwareConfig
from spikesim.program import Decay, Gather, Instruction, Program, ProgramText, Scatter, Section, View
from spikesim.program.trace import Effects, Place
from spikesim.run.simulator import Simulator
from spikesim.spikes.digits import digits


def _event_cycles(counts: np.ndarray, coding: str, hardware: HardwareConfig) -> int:
    """Cycles of the events of some counts, in row order or with ternary planes those of the bank that has most."""
    spikes, array = digits(counts, coding) != 0, hardware.array
    if array.order == "row" or coding == "ternary":
        return int(banks_of(spikes, array.ways).sum(axis=(0, 1)).max())
    if array.order == "window":
        return window_order_cycles(spikes, array.ways, row_planes=array.row_planes)
    return plane_order_cycles(spikes, array.ways, skew=array.skew, scan=array.scan_bits)


def _drained(load: int, outputs: int, events: int, lanes: int, passes: int, drained: int) -> int:
    """Plays a gather: the array fills the accumulators, a drain buffer empties `drained` words per cycle beside it."""
    now = load + timing.GATHER_LATENCY
    buffer_free = now
    events = max(events, 1)  # the results are taken over in a cycle of their own if there is no event
    chunks = -(-outputs // lanes) * passes
    for chunk in range(chunks):
        done = now + events
        now = handed = max(done, buffer_free)
        words = lanes if chunk < chunks - 1 else outputs - (-(-outputs // lanes) - 1) * lanes
        while words > 0:
            words, handed = words - drained, handed + 1
        buffer_free = handed
    return buffer_free if chunks else 0


@given(
    st.integers(1, 300),
    st.integers(1, 70),
    st.integers(0, 60),
    st.sampled_from([1, 2, 8, 16]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2, 16]),
    st.sampled_from([1, 2, 8]),
)
def test_gather_closed_form(
    channels: int, outputs: int, events: int, lanes: int, passes: int, loaded: int, drain: int
) -> None:
    """The closed form equals the played gather for every shape, also where the drain is the bottleneck."""
    load = timing.load_counts(np.int64(channels), loaded)
    drained = min(drain, lanes)
    closed = timing.gather(
        load, np.int64(outputs), np.int64(events), lanes=lanes, drained=drained, passes=passes
    )
    assert int(closed) == _drained(-(-channels // loaded), outputs, events, lanes, passes, drained)


@settings(deadline=None, max_examples=8)
@given(
    ways=st.sampled_from([1, 4, 16]),
    lanes=st.sampled_from([2, 8]),
    order=st.sampled_from(["plane", "row", "window"]),
    coding=st.sampled_from(["ternary", "bitwise", "twos_complement", "signed_digit"]),
    kind=st.sampled_from([0, 1, 2]),
    skew=st.sampled_from([0, 1]),
    scan=st.sampled_from([1, 4, 16]),
    row_planes=st.sampled_from([4, 5, 6]),
    load=st.sampled_from([1, 4, 16]),
    drain=st.sampled_from([1, 4, 8]),
)
def test_every_gather_of_a_layer_costs_what_its_events_take(
    ways: int,
    lanes: int,
    order: str,
    coding: str,
    kind: int,
    skew: int,
    scan: int,
    row_planes: int,
    load: int,
    drain: int,
) -> None:
    """All gathers of real layers, token by token, against the played array, of all three cores."""
    hardware = HardwareConfig().replace(
        **{
            "array.ways": ways,
            "array.lanes": lanes,
            "array.order": order,
            "array.skew": skew,
            "array.scan_bits": scan,
            "array.load_width": load,
            "array.drain_width": drain,
            "array.row_planes": row_planes,
            "numerics.coding": coding,
            "limits.max_context": 64,
        }
    )
    config = small_config()
    compiled = compiled_layer(config, kind, hardware, tokens=13, sequences=1)
    simulator = Simulator(compiled.program, hardware, 1, detail=True)
    vectors = simulator.run({"h": compiled.words, **angles(config, 13, 1)})
    checked = 0
    assert simulator.per_token is not None
    for number, instruction in enumerate(compiled.program.instructions()):
        if instruction.op != "gather" or instruction.operand not in ("matrix", "state"):
            continue
        spiking = np.concatenate(simulator.per_token[number]["spiking"])
        dense = np.concatenate(simulator.per_token[number]["dense"])
        skipping = np.concatenate(simulator.per_token[number]["skipping"])
        view = instruction.counts
        for token in range(13):
            groups = vectors[view.name][token, 0, view.offset :][: view.words].reshape(
                view.groups, view.length
            )
            loading, outputs = -(-view.length // min(load, ways)), instruction.dst.length
            passes = 2 if instruction.operand == "state" else 1
            expected = [
                sum(_drained(loading, outputs, e, lanes, passes, min(drain, lanes)) for e in events)
                for events in (
                    [_event_cycles(group.astype(np.int8), coding, hardware) for group in groups],
                    [-(-view.length // ways)] * view.groups,
                    # a bank takes its counts that are not 0, and there is a step at least
                    [max(np.count_nonzero(group[bank::ways]) for bank in range(ways)) for group in groups],
                )
            ]
            copies = getattr(instruction, "partition", None) is not None
            issue = timing.ISSUE_CYCLES + (timing.PARTITION_CYCLES if copies else 0)
            assert [spiking[token], dense[token], skipping[token]] == [cycles + issue for cycles in expected]
            checked += 1
    assert checked >= 13 * 4


@pytest.mark.parametrize("cores", [1, 4])
def test_counts_that_are_kept_are_neither_loaded_nor_sent(cores: int) -> None:
    """The second gather of the same counts costs what the first does, without all that brings counts to the array."""
    hardware = HardwareConfig().replace(**{"array.ways": 16, "array.load_width": 8, "system.cores": cores})
    counts = View(name="counts", length=37, stride=37)
    gathers = [
        Gather(dst=View(name=name, length=20, stride=20), counts=counts, operand="matrix", name="m")
        for name in ("a", "b")
    ]
    section = Section(kind="parallel", instructions=tuple(gathers))
    text = ProgramText(name="p", outputs=(), vectors={}, sections=(section,))
    model = CycleModel(
        Program(text=text, constants={}, matrices={"m": np.zeros((20, 37), np.int8)}), hardware
    )
    found = Effects(positions=np.arange(3), counts=np.full((3, 1, 37), 5, np.int8))
    first, second = (model.cost(n, found) for n in range(len(gathers)))
    system = hardware.system
    sent = system.broadcast_latency_cycles + -(-37 // system.broadcast_words_per_cycle) if cores > 1 else 0
    saved = -(-37 // 8) + 6 + sent
    for core in CORES:
        assert (first.cycles[core] - second.cycles[core]).tolist() == [saved] * 3
    assert first.counters.vector_words - second.counters.vector_words == 3 * 37 * cores
    second.counters.vector_words = first.counters.vector_words
    assert first.counters == second.counters


class WeightWatcher:
    """Position and softmax weights of every token, int64[heads, 64], by key."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, np.ndarray]] = []

    def executed(self, _place: Place, instruction: Instruction, frame: Frame) -> None:
        if isinstance(instruction, Gather) and instruction.operand == "values":
            keys = frame.keys(instruction.keys)
            for position, counts in zip(frame.positions(), frame.view(instruction.counts), strict=True):
                full = np.zeros((counts.shape[0], 64), np.int64)
                full[:, keys.first : keys.stop] = counts
                self.seen.append((int(position), full))


@pytest.mark.parametrize(("scan", "load"), [(1, 2), (2, 1), (16, 4)])
def test_attention_reads_only_what_the_window_and_the_blocks_hold(scan: int, load: int) -> None:
    """Value gathers of a window and of MoBA against played arrays built from the definition of the cache layout."""
    hardware = HardwareConfig().replace(
        **{
            "array.ways": 4,
            "array.lanes": 4,
            "array.scan_bits": scan,
            "array.load_width": load,
            "limits.max_context": 64,
        }
    )
    config = small_config()
    for kind, cache in ((0, "attn"), (1, "swa")):
        compiled = compiled_layer(config, kind, hardware, tokens=20, sequences=1)
        watcher = WeightWatcher()
        simulator = Simulator(compiled.program, hardware, 1, detail=True, observers=[watcher])
        simulator.run({"h": compiled.words, **angles(config, 20, 1)})
        assert simulator.per_token is not None
        number = next(
            n
            for n, i in enumerate(compiled.program.instructions())
            if i.op == "gather" and i.operand == "values"
        )
        cycles = np.concatenate(simulator.per_token[number]["spiking"])
        fixed = timing.ISSUE_CYCLES + timing.RESOLVE_CYCLES
        for (position, weights), got in zip(watcher.seen, cycles, strict=True):
            expected = 0
            for head in weights:
                if cache == "swa":
                    valid = [p for p in range(position + 1) if p > position - config.window_size]
                    slots = {p: p % config.window_size for p in valid}
                else:
                    # One past block of 5 tokens, if there is any, padded to 8 so that the next starts in bank 0.
                    own = position // 5
                    past = sorted(_chosen(head, own))[:1] or [0] * min(1, own)
                    slots = {p: p % 5 + 8 * len(past) for p in range(own * 5, position + 1)}
                    slots |= {block * 5 + s: s for block in past for s in range(5)}
                    valid = [p for p in slots if p // 5 == own or p // 5 in past]
                banked = np.zeros(max(slots.values()) + 1, np.int8)
                for p, slot in slots.items():
                    banked[slot] += head[p]
                events = _event_cycles(banked, hardware.numerics.coding, hardware)
                if cache == "swa":
                    expected += _drained(-(-len(valid) // load), config.head_dim, events, 4, 1, 4)
                else:
                    # cycles of each block by itself; the list of past blocks is read first
                    past = min(1, own)
                    loads = past * -(-5 // load) + -(-(position % 5 + 1) // load)
                    expected += _drained(loads, config.head_dim, events, 4, 1, 4) + timing.block_list(past)
            assert got == expected + fixed


def _chosen(head: np.ndarray, own: int) -> set[int]:
    """Past blocks with any weight."""
    return {block for block in range(own) if head[block * 5 : block * 5 + 5].any()}


@pytest.mark.parametrize("ways", [1, 4, 16])
@pytest.mark.parametrize("channels", [1, 37, 64])
def test_skipping_zeros_takes_the_fullest_bank_at_least_a_cycle(ways: int, channels: int) -> None:
    generator = np.random.default_rng(channels)
    counts = generator.integers(-127, 128, (20, channels)) * (generator.random((20, channels)) < 0.4)
    counts[3] = 0
    hardware = HardwareConfig().replace(**{"array.ways": ways})
    expected = [max(1, *(int((row[b::ways] != 0).sum()) for b in range(ways)), 0) for row in counts]
    assert skip_cycles(counts.astype(np.int8), hardware).tolist() == expected


def _scattered(steps: list[int], columns: int, *, ways: int, lanes: int, units: int, loaded: int) -> int:
    """Plays a scatter of rows with so many steps: of a unit's banks the first with a step left takes it."""
    fetched = min(loaded, lanes)
    sizes = [min(lanes, columns - first) for first in range(0, columns, lanes)]
    now = -(-len(steps) // loaded)
    ready = now + -(-sizes[0] // fetched)  # all of the chunk's update words
    for following in [*sizes[1:], 0]:
        now = max(now, ready)
        ready = now + -(-following // fetched) + timing.UPDATE_LATENCY
        left = [list(steps[bank::ways]) for bank in range(ways)]
        cycles = 0
        while any(map(any, left)) or not cycles:
            cycles += 1
            for unit in range(units):
                bank = next((rows for rows in left[unit::units] if any(rows)), [])
                for row, count in enumerate(bank):
                    if count:
                        bank[row] -= 1
                        break
        now += cycles
    return now + timing.SCATTER_LATENCY


@given(
    ways=st.sampled_from([1, 4, 16]),
    banks=st.sampled_from([1, 2, 4, 64]),
    lanes=st.sampled_from([2, 8]),
    load=st.sampled_from([1, 4, 16]),
    coding=st.sampled_from(["ternary", "bitwise", "twos_complement", "signed_digit"]),
)
@settings(max_examples=12)
def test_every_scatter_of_a_layer_costs_what_its_units_have_to_do(
    ways: int, banks: int, lanes: int, load: int, coding: str
) -> None:
    """All scatters of a real layer, token by token, against the played update units, spiking and dense."""
    hardware = HardwareConfig().replace(
        **{
            "array.ways": ways,
            "array.lanes": lanes,
            "array.state_banks": banks,
            "array.load_width": load,
            "numerics.coding": coding,
            "limits.max_context": 64,
        }
    )
    config = small_config()
    compiled = compiled_layer(config, 1, hardware, tokens=6, sequences=1)
    simulator = Simulator(compiled.program, hardware, 1, detail=True)
    vectors = simulator.run({"h": compiled.words, **angles(config, 6, 1)})
    assert simulator.per_token is not None
    shape = {"ways": ways, "lanes": lanes, "units": min(ways, banks), "loaded": min(ways, load)}
    checked = 0
    for number, instruction in enumerate(compiled.program.instructions()):
        if not isinstance(instruction, Scatter):
            continue
        issue = timing.ISSUE_CYCLES + (0 if instruction.partition is None else timing.PARTITION_CYCLES)
        view = instruction.counts
        for token in range(6):
            groups = vectors[view.name][token, 0, view.offset :][: view.words].reshape(
                view.groups, view.length
            )
            fired = digits(groups.astype(np.int8), coding) != 0
            highest = (fired * np.arange(1, len(fired) + 1)[:, None, None]).max(axis=0)
            for kind, steps in (("spiking", highest), ("dense", np.full_like(highest, 2))):
                cycles = sum(_scattered(row.tolist(), view.length, **shape) for row in steps)
                assert np.concatenate(simulator.per_token[number][kind])[token] == cycles + issue
            checked += 1
    assert checked > 0


class ShiftWatcher:
    """Of every decay, by number, the shifts of all tokens: int32[tokens, heads]."""

    def __init__(self) -> None:
        self.shifts: dict[int, np.ndarray] = {}

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        if isinstance(instruction, Decay):
            self.shifts[place.number] = frame.shifts_of(instruction.dst)


@pytest.mark.parametrize(("ways", "banks"), [(1, 1), (16, 64), (16, 2), (4, 1)])
def test_decay_sweeps_are_charged_when_they_happen(ways: int, banks: int) -> None:
    """Decay factors cost three slots per head, and a sweep goes over all row chunks of each head that was shifted."""
    array = {"array.ways": ways, "array.lanes": 8, "array.state_banks": banks}
    hardware = HardwareConfig().replace(**array, **{"limits.max_context": 64})
    config = small_config()
    compiled = compiled_layer(config, 1, hardware, tokens=24, sequences=1)
    watcher = ShiftWatcher()
    simulator = Simulator(compiled.program, hardware, 1, detail=True, observers=[watcher])
    simulator.run({"h": compiled.words, **angles(config, 24, 1)})
    assert simulator.per_token is not None
    sweep, swept = -(-16 // ways) * 2 * (ways // min(ways, banks)), 0
    for number, instruction in enumerate(compiled.program.instructions()):
        if instruction.op == "decay":
            shifts = watcher.shifts[number]
            swept += int((shifts > 0).sum())
            issue = timing.ISSUE_CYCLES + (0 if instruction.partition is None else timing.PARTITION_CYCLES)
            factors = 3 * 4 + 2 + timing.pointwise_latency(hardware.pointwise.words)
            fixed = 2 * issue + factors + 4 * timing.SWEEP_GROUP + timing.SWEEP_LATENCY
            expected = fixed + sweep * (shifts > 0).sum(axis=1)
            assert np.array_equal(np.concatenate(simulator.per_token[number]["spiking"]), expected)
    assert swept > 0
