"""The handful of facts a reader wants first; the page shows them as cards, the command line as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikesim.report.comparison import verdict_of
from spikesim.report.numbers import (
    ENERGY,
    MISSING,
    fixed,
    percent,
    plural,
    quality,
    quantities,
    ratio,
    si,
    whole,
)

if TYPE_CHECKING:
    from spikesim.results.activity import Activity
    from spikesim.results.report import Report


NOTHING_SCORED = "no token was scored: every sequence has one token"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure: `value` large, `detail` below it. `random`: it says more about random input than about the model."""

    title: str
    value: str
    unit: str = ""
    detail: str = ""
    random: bool = False


def is_random(report: Report) -> bool:
    """Tell whether the input was drawn at random."""
    return report.input.kind in ("random tokens", "random samples")


def input_words(report: Report) -> str:
    """Return what ran: how many tokens, frames, or samples of how many steps.

    Of a network that keeps no state every sample is one frame.
    """
    found, item = report.input, report.model.item
    if item != "step":
        return plural(found.n_tokens, item)
    return f"{plural(found.sequences, 'sample')} of {plural(found.sequence_length, item)}"


def facts(report: Report) -> tuple[Fact, ...]:
    """Return sparsity, spikes per value, saturation, throughput, quality, agreement and cores, in this order."""
    return (
        _sparsity(report),
        _spikes_per_value(report),
        _saturation(report),
        _throughput(report),
        *((_quality(report), _agreement(report)) if report.model.item == "token" else _classes(report)),
        *_operations(report),
        _cores(report),
    )


def verdict(report: Report) -> str:
    """Return a sentence on cycles, with its basis, and one on area and power, or that they are not compared."""
    area_and_power = "Area and power are not in this comparison."
    if report.comparison is not None:
        area_and_power = verdict_of(report.comparison)
    return f"{cycles_verdict(report)} {area_and_power}".rstrip()


def cycles_verdict(report: Report) -> str:
    """Return the sentence on cycles alone."""
    cycles = report.cycles
    times = ratio(cycles.spiking, cycles.dense)
    other = ""
    if cycles.skipping is not None:
        other = f", {ratio(cycles.spiking, cycles.skipping)} as many as the twin that skips zeros"
    return f"The spiking core computes {times} as many cycles as its dense INT8 twin ({cycles.basis}){other}."


def _sparsity(report: Report) -> Fact:
    spikes = report.spikes
    return Fact(
        title="Spike sparsity",
        value=fixed(100 * spikes.sparsity[spikes.headline], 2),
        unit="%",
        detail=f"{spikes.headline}; see the other definitions",
        random=is_random(report),
    )


def _spikes_per_value(report: Report) -> Fact:
    spikes = report.spikes
    detail = (
        f"of {si(spikes.elements)} layer inputs {percent(spikes.silent, 1)} silent, "
        f"{percent(spikes.clipped_share)} cut to the window"
    )
    return Fact(
        title="Spikes per value", value=fixed(spikes.average, 3), detail=detail, random=is_random(report)
    )


def _saturation(report: Report) -> Fact:
    title, found = "Saturated words", report.saturation
    if found is None:
        return Fact(title=title, value=MISSING, detail="not counted")
    if not found.saturated:
        return Fact(title=title, value="none", detail=f"of {si(found.words)} words")
    worst = found.places[0]
    detail = (
        f"of {si(found.words)}, {percent(found.share)}; most at {worst.program} {worst.place}, "
        f"{percent(worst.share)} of its words"
    )
    return Fact(title=title, value=si(found.saturated), detail=detail)


def _throughput(report: Report) -> Fact:
    rates = report.throughput_tokens_per_s
    times = ratio(report.cycles.elapsed.spiking, report.cycles.elapsed.dense)
    detail = f"spiking; dense twin {si(rates.dense)}, {times} its cycles"
    item = report.model.item
    if item == "step":
        detail = f"{si(rates.spiking / max(1, report.input.sequence_length))} samples per second; {detail}"
    return Fact(title=f"{item.capitalize()}s per second", value=si(rates.spiking), detail=detail)


def _classes(report: Report) -> tuple[Fact, Fact]:
    """Accuracy, and agreement with the float model, of a network."""
    fidelity, is_drawn = report.fidelity, is_random(report)
    accuracy = Fact(title="Accuracy, integer", value=MISSING, detail="the samples have no labels")
    if fidelity.accuracy is not None:
        known = fidelity.accuracy.float_model
        beside = "no float model to compare with" if known is None else f"float {percent(known)}"
        accuracy = Fact(
            title="Accuracy, integer",
            value=percent(fidelity.accuracy.integer_model).removesuffix(" %"),
            unit="%",
            detail=f"{beside}; {plural(fidelity.labelled_samples, 'labelled sample')}",
        )
    agreement = Fact(title="Same class", value=MISSING, detail="no float model to compare with")
    if fidelity.class_agreement is not None:
        agreement = Fact(
            title="Same class",
            value=percent(fidelity.class_agreement).removesuffix(" %"),
            unit="%",
            detail=f"as the float model, {plural(fidelity.compared_samples, 'sample')} compared",
            random=is_drawn,
        )
    return accuracy, agreement


def _quality(report: Report) -> Fact:
    fidelity = report.fidelity
    pair, title = fidelity.bits_per_byte, "Bits per byte, integer"
    if pair is None:
        pair, title = fidelity.perplexity, "Perplexity, integer"
    if pair is None:
        detail = "not measured" if fidelity.scored_tokens else NOTHING_SCORED
        return Fact(title="Bits per byte", value=MISSING, detail=detail, random=is_random(report))
    if pair.float_model is None:
        detail = "no float model to compare with"
    else:
        detail = f"float {quality(pair.float_model)}"
        if fidelity.increase_percent is not None:
            detail += f"; loss {fidelity.increase_percent:+.2f} %".replace("-", "−")
        if fidelity.better_than_float:
            detail += ", more than noise: not to be believed"
    return Fact(title=title, value=quality(pair.integer_model), detail=detail, random=is_random(report))


def _agreement(report: Report) -> Fact:
    fidelity = report.fidelity
    if fidelity.top1_agreement is None:
        detail = "no float model to compare with" if fidelity.scored_tokens else NOTHING_SCORED
        return Fact(title="Top-1 agreement", value=MISSING, detail=detail)
    return Fact(
        title="Top-1 agreement",
        value=percent(fidelity.top1_agreement).removesuffix(" %"),
        unit="%",
        detail=f"with the float model, {plural(fidelity.compared_tokens, 'token')} compared",
        random=is_random(report),
    )


def _operations(report: Report) -> tuple[Fact, ...]:
    """Synaptic operations of a network; nothing of a language model."""
    found, item = report.activity, report.model.item
    if found is None:
        return ()
    silent = f"; {percent(found.silent_windows, 1)} of windows silent" if found.windows else ""
    detail = f"{si(found.spikes)} spikes; a dense pass {si(found.macs)} multiplications{silent}"
    return (
        Fact(
            title="Synaptic operations",
            value=si(found.synaptic_operations),
            unit=f"per {item}",
            detail=detail,
            random=is_random(report),
        ),
    )


def convention(found: Activity) -> str:
    """Return the energies of the literature's convention, as such."""
    spiking, dense = quantities(ENERGY, found.spiking_uj, found.dense_uj)
    return (
        f"As papers on spiking networks count it, and not measured here: {spiking} a sample, {dense} for a dense pass "
        f"({found.convention})."
    )


def _cores(report: Report) -> Fact:
    cores = report.cores
    bound = {"compute": "compute", "dram": "DRAM"}[cores.bound]
    detail = f"array busy in {percent(cores.occupancy.spiking, 1)} of its compute cycles, bound by {bound}"
    return Fact(
        title="Cores used", value=whole(cores.used), unit=f"of {whole(cores.available)}", detail=detail
    )
