"""The run on Lava and its place on a Loihi-style chip in words and rows: what the page and the command line print.

Every sentence is made of the figures, its direction too: nothing here knows which coding is better or what fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.report.comparison import sentence
from spikesim.report.numbers import (
    ENERGY,
    MISSING,
    change,
    number,
    plural,
    quantities,
    si,
    significant,
    size,
    whole,
)
from spikesim.results.lava import FAILED_STATEMENT

if TYPE_CHECKING:
    from spikesim.results.lava import (
        Demand,
        InstructionWidth,
        LavaRun,
        LayerUse,
        Placement,
        ProgramRun,
        Traffic,
    )

CODING_NAMES = {
    "graded": "graded spikes",
    "signed_digit": "signed digit",
    "bitwise": "sign and magnitude",
    "twos_complement": "two's complement",
    "ternary": "ternary",
    "dense": "dense INT8",
}
"""What a coding is called in text; others by their own name."""

MOST_DIFFERENCES = 20
"""So many differences are listed; a run that differs usually differs everywhere after the first."""

MOST_REASONS = 8
MOST_NAMES = 4

_PART_NAMES = {
    "matrix": "matrices",
    "cache": "caches, one variable per word",
    "state": "states, one variable per word",
}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A card: one figure, its unit, and a line below. `tone`: "missed" if something is wrong."""

    title: str
    value: str
    unit: str = ""
    detail: str = ""
    tone: str = ""


@dataclass(frozen=True, kw_only=True)
class TrafficRow:
    """What one coding sends per token; `change` is against dense."""

    name: str
    planes: str
    spikes: str
    operations: str
    change: str
    tone: str
    ran: bool


@dataclass(frozen=True, kw_only=True)
class Held:
    """What lies on neurocores, or on processors, of all programs together."""

    name: str
    count: int
    neurons: int
    synapses: int
    memory: int
    cores: float
    words: int
    notes: tuple[str, ...]


def statement(run: LavaRun) -> str:
    """What the run was, one sentence without its full stop; a run that differs has verified nothing."""
    return run.statement if run.exact else FAILED_STATEMENT


def verdict_line(run: LavaRun) -> str:
    """One sentence: what was compared, and whether anything differs."""
    c = run.compared
    compared = (
        f"{whole(c.words)} words, {whole(c.spikes)} spike slots, {whole(c.states)} state words and "
        f"{whole(c.counts)} counts of {plural(len(run.programs), 'program')} and {plural(run.tokens, 'token')}"
    )
    if run.exact:
        return f"{compared} were compared with the golden model: all equal."
    return f"Of {compared}, {whole(c.different)} differ from the golden model."


def traffic_sentence(run: LavaRun) -> str:
    """Graded spikes against dense, and bit-serial against graded: how many synaptic operations each takes."""
    rows = {row.coding: row for row in run.traffic}
    dense, graded = (rows.pop(name, None) for name in ("dense", "graded"))
    if dense is None or graded is None or not dense.synaptic_operations_per_token:
        return "No matrix ran, so that no spikes travel to one."
    own, full = graded.synaptic_operations_per_token, dense.synaptic_operations_per_token
    said = (
        f"Per token, graded spikes take {whole(own)} synaptic operations, "
        f"{_against(own, full, 'dense')} ({whole(full)})"
    )
    gain = _direction(own, full)
    said += f": graded {_saving(own, full)}." if gain else "."
    if not rows:
        return said
    best = min(rows.values(), key=lambda row: row.synaptic_operations_per_token)
    serial = best.synaptic_operations_per_token
    least = "at least " if len(rows) > 1 else ""
    named = f"{least}{whole(serial)} ({coding_name(best.coding)})"
    said += f" Bit-serial takes {named}, {_against(serial, own, 'graded')}: "
    judged = {
        -1: "bit-serial is better than graded even on a chip with graded spikes",
        0: "on a chip with graded spikes, bit-serial is as good as graded",
        1: "on a chip with graded spikes, bit-serial is worse than graded",
    }
    return said + judged[_direction(serial, own)] + "."


def placement_sentences(run: LavaRun) -> tuple[str, ...]:
    """What of the programs has room on the target, what has not and why, and which context would."""
    p = run.placement
    where = f"{p.target} with {plural(p.chips, 'chip')} of {plural(p.cores_per_chip, 'neurocore')}"
    fitting = [layer for layer in p.layers if layer.fits]
    if len(fitting) == len(p.layers):
        fits = (
            "All programs fit"
            if len(p.layers) > 1
            else f"{p.layers[0].program} fits"
            if p.layers
            else "Nothing"
        )
    elif fitting:
        fits = f"{len(fitting)} of {len(p.layers)} programs fit"
    else:
        fits = "No program fits"
    used = f"{whole(p.cores_used)} of {plural(p.cores_available, 'neurocore')} hold something"
    said = [f"{fits} on {where}: {used}."]
    said += _reasons(p.layers)
    if p.longest_context is not None:
        if not p.longest_context:
            said.append("There would be no room for all programs with the shortest context either.")
        elif p.longest_context >= p.context:
            said.append(
                f"Caches are laid out for {plural(p.context, 'token')}; "
                f"cores would suffice for {whole(p.longest_context)}."
            )
        else:
            said.append(
                f"Caches are laid out for {plural(p.context, 'token')}; cores suffice for "
                f"{plural(p.longest_context, 'token')} at most."
            )
    return tuple(said)


def _reasons(layers: Sequence[LayerUse]) -> list[str]:
    """Why programs do not fit: what is wrong with several alike is said once, and long lists are cut."""
    alike: dict[str, list[str]] = {}
    for layer in layers:
        if layer.why:
            own = layer.why.removeprefix(f"{layer.program}: ")
            alike.setdefault(own, []).append(layer.program if own != layer.why else "")
    said = []
    for why, names in alike.items():
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        said.append(f"{', '.join(names[:MOST_NAMES])}{more}: {why}." if names[0] else f"{why}.")
    if len(said) > MOST_REASONS:
        rest = len(said) - MOST_REASONS
        said = [
            *said[:MOST_REASONS],
            f"{rest} more {'reason is' if rest == 1 else 'reasons are'} in the table.",
        ]
    return said


def widths_sentence(run: LavaRun) -> str:
    """Words beyond 24 bits and the widest product, neither of which Lava checks."""
    words, beyond = sum(row.words for row in run.widths), sum(row.beyond_24_bits for row in run.widths)
    names = list(dict.fromkeys(name for row in run.widths for name in row.vectors if row.beyond_24_bits))
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    which = f" ({shown})" if names else ""
    verb = "exceeds" if beyond == 1 else "exceed"
    product = max((row.widest_product_bits for row in run.widths), default=0)
    products = f" Products and sums need up to {plural(product, 'bit')}." if product else ""
    count = whole(beyond) if beyond else "None"
    return f"{count} of {plural(words, 'word')} {verb} 24 bits{which}.{products} Lava checks neither."


def steps_sentence(run: LavaRun) -> str:
    """Latency and interval of the analysis, and the time they take at least."""
    steps, p = run.steps, run.placement
    by = f", because of {steps.interval_of}" if steps.interval_of else ""
    said = (
        f"If every instruction were one neuron group, a token would take {plural(steps.latency, 'step')} and the next "
        f"could follow after {whole(steps.interval)}{by}."
    )
    if not p.programmable:
        return f"{said} Neurons of {p.target} cannot be such groups, so that no time follows from it."
    if p.step_ns is None:
        return f"{said} {p.step_note}"
    times = [si(count * p.step_ns * 1e-9, "s") for count in (steps.latency, steps.interval)]
    return (
        f"{said} A step takes at least about {si(p.step_ns * 1e-9, 's')} ({p.step_note}), so a token takes at least "
        f"{times[0]} and tokens are at least {times[1]} apart: a floor, not an estimate."
    )


def facts(run: LavaRun) -> tuple[Tile, ...]:
    """The cards: comparison, traffic, cores, time and energy."""
    p, steps, compared = run.placement, run.steps, run.compared
    total = compared.words + compared.spikes + compared.states + compared.counts
    cards = [
        Tile(
            title="Numbers compared",
            value=si(total),
            detail="all equal to golden" if run.exact else f"{whole(compared.different)} differ",
            tone="" if run.exact else "missed",
        )
    ]
    rows = {row.coding: row for row in run.traffic}
    ran = rows.get(run.coding)
    if ran is not None:
        dense = rows.get("dense")
        saved = _saved(ran, dense)
        detail = coding_name(run.coding) + (f"; {change(saved)} against dense" if saved is not None else "")
        cards.append(
            Tile(
                title="Synaptic ops per token",
                value=si(ran.synaptic_operations_per_token),
                detail=detail,
            )
        )
    missing = sum(not layer.fits for layer in p.layers)
    verb = "does" if missing == 1 else "do"
    cards.append(
        Tile(
            title=f"Neurocores, {p.target}",
            value=whole(p.cores_used),
            unit=f"of {whole(p.cores_available)}",
            detail=f"{plural(missing, 'program')} {verb} not fit" if missing else "every program fits",
            tone="missed" if missing else "",
        )
    )
    cards.append(
        Tile(
            title="Latency, analysis",
            value=whole(steps.latency),
            unit="steps",
            detail=f"the next token after {whole(steps.interval)}",
        )
    )
    timed = p.step_ns is not None and p.programmable
    untimed = "no figure is public" if p.programmable else "most is on processors"
    cards.append(
        Tile(
            title="Time per token",
            value=f"≥ {si(steps.latency * (p.step_ns or 0) * 1e-9, 's')}" if timed else MISSING,
            detail=f"a floor: steps of about {si((p.step_ns or 0) * 1e-9, 's')}" if timed else untimed,
        )
    )
    energy = p.energy
    cards.append(
        Tile(
            title="Energy per token",
            value=quantities(ENERGY, _total_uj(p))[0],
            detail="neurocores only, estimate" if energy else "blank, see why below",
        )
    )
    return tuple(cards)


def traffic_rows(run: LavaRun) -> tuple[TrafficRow, ...]:
    """Every coding: graded, bit-serial, dense."""
    dense = next((row for row in run.traffic if row.coding == "dense"), None)
    rows = []
    for row in ordered(run.traffic):
        saved = None if row.coding == "dense" else _saved(row, dense)
        tone = "" if saved is None or abs(saved) < 0.0005 else "less" if saved > 0 else "more"
        rows.append(
            TrafficRow(
                name=coding_name(row.coding),
                planes=whole(row.planes),
                spikes=whole(row.spikes_per_token),
                operations=whole(row.synaptic_operations_per_token),
                change=MISSING if saved is None else change(saved),
                tone=tone,
                ran=row.ran,
            )
        )
    return tuple(rows)


def ordered(traffic: Sequence[Traffic]) -> list[Traffic]:
    """Graded first, then bit-serial codings from few operations to many, dense last."""
    place = {"graded": 0, "dense": 2}
    return sorted(traffic, key=lambda row: (place.get(row.coding, 1), row.synaptic_operations_per_token))


def held(demands: Iterable[Demand], on: str) -> tuple[Held, ...]:
    """What lies on neurocores ("neurocore") or processors ("processor"), the same things of all programs together."""
    together: dict[str, list[Demand]] = {}
    for demand in demands:
        if demand.on == on:
            together.setdefault(_PART_NAMES.get(demand.part, demand.name), []).append(demand)
    rows = [
        Held(
            name=name,
            count=len(parts),
            neurons=sum(part.neurons for part in parts),
            synapses=sum(part.synapses for part in parts),
            memory=sum(part.synaptic_bytes for part in parts),
            cores=sum(part.cores for part in parts),
            words=sum(part.words for part in parts),
            notes=tuple(dict.fromkeys(part.note for part in parts if part.note and part.words == 0)),
        )
        for name, parts in together.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.cores, -row.words, row.name)))


def coding_name(coding: str) -> str:
    """What a coding is called."""
    return CODING_NAMES.get(coding, coding.replace("_", " "))


def energy_rows(placement: Placement) -> tuple[tuple[str, str], ...]:
    """What the energy per token consists of; empty if there is none."""
    e = placement.energy
    if e is None:
        return ()
    parts = (e.synaptic_uj, e.neurons_uj, e.spikes_uj, _total_uj(placement))
    names = ("synaptic operations", "neuron updates", "spikes within their tile", "together")
    return tuple(zip(names, quantities(ENERGY, *parts), strict=True))


def step_rows(run: LavaRun) -> tuple[tuple[str, str], ...]:
    """Time steps of the network that ran, and of the analysis."""
    steps = run.steps
    return (
        ("stages, one after the other", whole(steps.stages)),
        ("steps per value", whole(steps.planes)),
        ("steps of the whole run", whole(steps.run)),
        ("latency (analysis)", plural(steps.latency, "step")),
        ("interval (analysis)", plural(steps.interval, "step")),
    )


def context(run: LavaRun) -> dict[str, Any]:
    """What the template of the section is filled with, figures apart."""
    p, graded = run.placement, run.coding == "graded"
    return {
        "lava_facts": facts(run),
        "lava_statement": statement(run),
        "lava_statement_sentence": sentence(statement(run)) + ".",
        "lava_verdict": verdict_line(run),
        "lava_traffic": traffic_rows(run),
        "lava_traffic_sentence": traffic_sentence(run),
        "lava_placement_sentences": placement_sentences(run),
        "lava_widths_sentence": widths_sentence(run),
        "lava_steps_sentence": steps_sentence(run),
        "lava_steps": step_rows(run),
        "lava_programs": program_rows(run.programs),
        "lava_layers": layer_rows(p),
        "lava_held": (
            ("On neurocores", held(p.demands, "neurocore")),
            ("On processors", held(p.demands, "processor")),
        ),
        "lava_widths": width_rows(run.widths),
        "lava_energy": energy_rows(p),
        "lava_limits": [(row, _exact(row.value)) for row in p.limits],
        "lava_coding": "graded spikes" if graded else f"bit-serial spikes ({coding_name(run.coding)})",
        "lava_differences": run.differences[:MOST_DIFFERENCES],
        "lava_chip_text": chip_text(p),
        "lava_seconds": ", ".join(
            f"{name.replace('_', ' ')} {si(value, 's')}" for name, value in run.seconds.items()
        ),
    }


def chip_text(p: Placement) -> str:
    """What the picture of the chip shows, and what it does not."""
    said = (
        "Each square is a neurocore, filled as far as its neurons or its memory are in use, whichever is more; "
        "colour: what fills most of it."
    )
    missing = [layer.program for layer in p.layers if not layer.placed]
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        said += f" No room and not shown: {shown}."
    return said


def program_rows(programs: Sequence[ProgramRun]) -> tuple[tuple[ProgramRun, tuple[str, ...]], ...]:
    """Every program with the cells of its row."""
    return tuple(
        (
            row,
            (
                whole(row.stages),
                whole(row.processes),
                whole(row.compared.words),
                whole(row.compared.spikes),
                whole(row.compared.states),
                whole(row.compared.counts),
                whole(row.spikes_per_token),
                whole(row.synaptic_operations_per_token),
            ),
        )
        for row in programs
    )


def layer_rows(p: Placement) -> tuple[tuple[LayerUse, tuple[str, ...], float], ...]:
    """Every program with the cells of its row, and its share of the cores in percent (at most 100)."""
    return tuple(
        (
            row,
            (
                whole(row.cores),
                whole(row.neurons),
                whole(row.synapses),
                size(row.synaptic_bytes),
                whole(row.processor_words),
            ),
            min(100.0, 100 * row.cores / p.cores_available),
        )
        for row in p.layers
    )


def width_rows(widths: Sequence[InstructionWidth]) -> tuple[tuple[InstructionWidth, str], ...]:
    """Kinds of instruction, widest first, with the vectors that exceed 24 bits."""
    rows = sorted(widths, key=lambda row: (-row.beyond_24_bits, -row.widest_word_bits, row.op))
    return tuple((row, ", ".join(row.vectors) or MISSING) for row in rows)


def _exact(value: float) -> str:
    return whole(value) if value.is_integer() else number(value)


def _total_uj(placement: Placement) -> float | None:
    e = placement.energy
    return None if e is None else e.synaptic_uj + (e.neurons_uj or 0) + (e.spikes_uj or 0)


def _saved(row: Traffic, dense: Traffic | None) -> float | None:
    if dense is None or not dense.synaptic_operations_per_token:
        return None
    return 1 - row.synaptic_operations_per_token / dense.synaptic_operations_per_token


def _direction(value: float, other: float) -> int:
    """−1, 0 or 1, as far as the digits shown tell."""
    if not other or abs(value / other - 1) < 0.0005:
        return (value > other) - (value < other) if not other else 0
    return 1 if value > other else -1


def _against(value: float, other: float, name: str) -> str:
    direction = _direction(value, other)
    if not direction or not other:
        return f"as many as {name}" if not direction else f"more than {name}"
    share = significant(100 * abs(value / other - 1))
    return f"{share} % {'more' if direction > 0 else 'fewer'} than {name}"


def _saving(value: float, other: float) -> str:
    share = significant(100 * abs(1 - value / other))
    return f"saves {share} %" if value < other else f"costs {share} % more"
