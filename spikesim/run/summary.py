"""Puts a finished run into a `Report`."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from spikesim.results.report import (
    NOISE_ERRORS,
    Fidelity,
    InputSummary,
    ModelSummary,
    Report,
    Saturation,
)
from spikesim.rtl.isa import POSITION_BITS
from spikesim.run.runner import Runner
from spikesim.run.tokens import Tokens
from spikesim.support.creation import creation_time
from spikesim.version import __version__

_LIBRARIES = ("numpy", "torch", "numba")

_NAMED_PLACES = 3
"""Places that a warning of saturation names."""


def summarise_run(
    model: ModelSummary,
    tokens: Tokens,
    fidelity: Fidelity,
    runner: Runner,
    settings: Mapping[str, Any],
    command: str,
) -> Report:
    """The whole report; `settings` joins the numerics in its quantisation section."""
    tally, hardware = runner.tally, runner.hardware
    fidelity = fidelity.model_copy(update={"state_overflows": tally.state_overflows})
    saturation = tally.saturation.result()
    per_second, latency = tally.throughput()
    return Report(
        model=model,
        input=InputSummary(
            kind=tokens.origin.kind,
            name=tokens.origin.name,
            n_tokens=tokens.ids.size,
            n_bytes=tokens.origin.n_bytes,
            sequence_length=tokens.ids.shape[1],
            sequences=tokens.ids.shape[0],
            context=runner.context if model.item == "token" else None,
            cached_tokens=runner.cached,
            left_out=tokens.origin.left_out,
            special_tokens=tokens.special_tokens,
            unknown_tokens=tokens.unknown,
            samples=tokens.origin.samples,
            labelled=tokens.labels is not None,
            saturated_numbers=tokens.origin.saturated,
            seed=tokens.origin.seed,
            note=tokens.note,
        ),
        fidelity=fidelity,
        saturation=saturation,
        spikes=tally.spikes(),
        cycles=tally.cycles(),
        throughput_tokens_per_s=per_second,
        latency_us_per_token=latency,
        cores=tally.cores(),
        raster=tally.raster,
        activity=None if runner.activity is None else runner.activity.result(),
        energy=tally.energy(),
        hardware=hardware.model_dump(mode="json"),
        quantisation={**hardware.numerics.model_dump(mode="json"), **settings},
        warnings=(*_warnings(tokens, fidelity, saturation, model), *_cached(runner), *_beyond_rtl(runner)),
        limits=tally.limits(),
        versions={
            "spikesim": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        command=command,
        created=creation_time().isoformat(timespec="seconds"),
        seconds={name: round(seconds, 3) for name, seconds in runner.stopwatch.seconds.items()},
        peak_memory_bytes=_peak_memory_bytes(),
    )


def _warnings(
    tokens: Tokens, fidelity: Fidelity, saturation: Saturation, model: ModelSummary
) -> Iterator[str]:
    if tokens.note:
        yield tokens.note
    if saturation.warned:
        yield _saturated(saturation, "text that is" if model.item == "token" else "samples that are")
    if fidelity.better_than_float:
        yield (
            f"The integer model is better than the float model by {-(fidelity.increase_percent or 0):.2f} %, more than "
            f"{NOISE_ERRORS:g} standard errors: that is no gain, but a sign that the two no longer compute the same."
        )
    if fidelity.state_overflows:
        yield f"{fidelity.state_overflows} words of SSE state wrapped: calibrate on longer or more varied text."


def _saturated(saturation: Saturation, others: str) -> str:
    """The worst places by name; all of them are in the report."""
    warned = saturation.warned
    named = "; ".join(
        f"{place.program} {place.place} {place.saturated:,} of {place.words:,} at ±{place.limit:,}"
        for place in warned[:_NAMED_PLACES]
    )
    more = len(warned) - _NAMED_PLACES
    total = sum(place.saturated for place in warned)
    return (
        f"{total:,} words saturated, too many to believe any figure: {named}"
        f"{f'; and in {more} more places' if more > 0 else ''}. Calibrate on {others} more like the input."
    )


def _cached(runner: Runner) -> Iterator[str]:
    """What costs mean that are not those of the run itself."""
    if runner.cached:
        yield (
            f"Cycles are those of tokens with {runner.cached:,} others before them, whose keys and values are the "
            "run's own, repeated: what follows from positions is exact, but which softmax weights are 0 is that of "
            "repeated keys. Fidelity is that of the run itself, from empty caches on."
        )


def _beyond_rtl(runner: Runner) -> Iterator[str]:
    """What is simulated here and no core in RTL does."""
    missing = runner.placer.beyond_rtl()
    if missing:
        settings = ", ".join(f"{name} {least}" for name, least in missing.items())
        yield f"What does not fit streams from DRAM, in the cycle model only; a core in RTL needs {settings}."
    if runner.hardware.system.cores > 1:
        yield "Several cores are in the cycle model only; RTL is of one core."
    if runner.context > 2**POSITION_BITS:
        yield (
            f"Positions beyond {2**POSITION_BITS} are in the cycle model only; the context is {runner.context}."
        )


def _peak_memory_bytes() -> int:
    """Largest resident memory of the process; the unit getrusage uses depends on the system."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
