"""`spikesim encode`: integers, or activations made integers first, as a spike train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikesim.cli import options
from spikesim.cli.console import stdout
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.numbers_file import read_numbers, save_train

if TYPE_CHECKING:
    from rich.table import Table

    from spikesim.spikes.quantise import Quantized
    from spikesim.spikes.train import SpikeTrain

SHOWN_NUMBERS, SHOWN_STEPS = 16, 48
"""Up to so many numbers and steps the train itself is printed."""

MARKS = {1: "+", -1: "−", 0: "·"}


def encode(
    numbers: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.npy | NUMBER…", help="A .npy file, or the numbers themselves.", show_default=False
        ),
    ],
    coding: Annotated[
        str,
        typer.Option(
            "--coding",
            metavar="NAME",
            help="bitwise, signed_digit, twos_complement, bitwise_unsigned, ternary or binary.",
        ),
    ] = "bitwise",
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="T", help="Time steps. Default: as many as the largest number needs."
        ),
    ] = None,
    threshold_k: Annotated[
        float | None,
        typer.Option(
            "--threshold-k",
            metavar="K",
            help="First make integers with the adaptive threshold mean |x| ÷ K of each row.",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option("--window", metavar="T", help="With --threshold-k: clip integers to T bit planes."),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="First make integers from −127 to 127 by the largest magnitude of each row."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.npz",
            help="Save the packed train.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    force: options.Force = False,
) -> None:
    """Encode integers as spikes and print their statistics.

    The saved file holds bits and signs (packed bit planes), coding, shape and steps, and the scale if there is one.
    """
    if int8 and threshold_k is not None:
        raise typer.BadParameter("give one of --int8 and --threshold-k, not both")
    if window is not None and threshold_k is None:
        raise typer.BadParameter("--window goes with --threshold-k")
    if output is not None and output.suffix != ".npz":
        raise typer.BadParameter(f"the output must be a .npz file, not {output.name}")

    values = read_numbers(numbers)
    quantised = _quantised(values, threshold_k, window, int8)
    counts = values if quantised is None else quantised.counts

    from spikesim.spikes.encode import encode as to_spikes

    train = to_spikes(counts, coding, steps)
    if output is not None:
        arrays: dict[str, Any] = {
            "bits": train.bits,
            "signs": train.signs,
            "coding": train.coding,
            "shape": train.shape,
            "steps": train.steps,
        }
        if quantised is not None:
            arrays["scale"] = quantised.scale
        save_train(output, arrays, inputs=numbers if len(numbers) == 1 else (), force=force)

    with failures_as_sentences(complete=output):
        _print(counts, train, quantised, output)


def _print(counts: Any, train: SpikeTrain, quantised: Quantized | None, output: Path | None) -> None:
    """Show a small train itself, the statistics of any, and where it was saved."""
    console = stdout()
    if train.size <= SHOWN_NUMBERS and train.steps <= SHOWN_STEPS:
        console.print(_picture(counts, train))
    console.print(_statistics(counts, train, quantised))
    if output is not None:
        console.one_line(f"saved: {output}")


def _quantised(values: Any, threshold_k: float | None, window: int | None, int8: bool) -> Quantized | None:
    """Make integers of the values if asked to; None if they are integers already."""
    from spikesim.errors import CodingError
    from spikesim.spikes.quantise import adaptive_threshold, int8_absmax

    if threshold_k is not None:
        return adaptive_threshold(values, threshold_k, window)
    if int8:
        return int8_absmax(values)
    if values.dtype.kind not in "iu":
        raise CodingError("numbers to encode must be integers; make them so with --threshold-k 3 or --int8")
    return None


def _picture(counts: Any, train: SpikeTrain) -> Table:
    """Show every spike of a few numbers: a row per number, a column per step with what a spike is worth."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0))
    table.add_column("count  ", justify="right")
    for weight in train.weights:
        table.add_column(f" {weight}", justify="right")
    spikes = train.dense().reshape(train.steps, -1)
    for number, row in zip(counts.reshape(-1).tolist(), spikes.T.tolist(), strict=True):
        table.add_row(f"{number}  ", *(MARKS[spike] for spike in row))
    return table


def _statistics(counts: Any, train: SpikeTrain, quantised: Quantized | None) -> Table:
    """Return the statistics of the train and of the integers in it, each with its definition."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spikesim.report.numbers import fixed, percent, size, whole
    from spikesim.spikes.statistics import DEFINITIONS, SpikeStatistics

    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("name")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("definition", style="dim")
    per_number = train.n_spikes / train.size
    table.add_row("coding", Text(train.coding, style="bold"), "")
    table.add_row("spikes", whole(train.n_spikes), f"{per_number:.3f} per number in {train.steps} steps")
    table.add_row("firing rate", percent(train.firing_rate), "spikes ÷ (numbers × steps)")
    table.add_row("packed", size(train.nbytes), f"{8 * train.nbytes / train.size:.2f} bits per number")
    if quantised is not None:
        low, high = float(quantised.scale.min()), float(quantised.scale.max())
        table.add_row("scale", f"{low:.4g} … {high:.4g}", "a number is its count × the scale of its row")
        table.add_row("clipped", whole(quantised.clipped), "integers beyond the range, cut to its end")
    table.add_section()
    # `sparsity` is about bitwise planes; another coding's steps are not theirs.
    planes = train.steps if train.coding == "bitwise" else None
    for name, value in SpikeStatistics.of(counts).to_dict(planes).items():
        shown = whole(value) if isinstance(value, int) else fixed(value, 4)
        table.add_row(name, shown, Text(DEFINITIONS[name]))
    return table
