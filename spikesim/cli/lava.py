"""`spikesim lava`: a model's programs on Lava's fixed-point simulator, against golden, and on a Loihi-style chip."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikesim.cli import options
from spikesim.cli.console import stdout
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.progress import TerminalProgress
from spikesim.report.items import reword
from spikesim.report.numbers import plural

if TYPE_CHECKING:
    from rich.table import Table

    from spikesim.backends.lava.target import Target
    from spikesim.hardware import HardwareConfig
    from spikesim.results.lava import LavaRun
    from spikesim.results.report import Item, Report
    from spikesim.run.tokens import InputRequest
    from spikesim.support.progress import Progress
    from spikesim.verify.job import Job


class Travel(StrEnum):
    """How counts travel to the matrices."""

    GRADED = "graded"
    SIGNED_DIGIT = "signed_digit"
    BITWISE = "bitwise"
    TWOS_COMPLEMENT = "twos_complement"
    TERNARY = "ternary"


def lava(
    context: typer.Context,
    model: options.Model,
    output: options.SummaryOnly = None,
    force: options.Force = False,
    tokens: Annotated[
        int,
        typer.Option(
            "--tokens",
            metavar="N",
            min=1,
            help="Tokens to run on Lava; frames, or steps, of a network.",
            rich_help_panel=options.INPUT,
        ),
    ] = 16,
    text: options.Text = None,
    seed: options.Seed = 0,
    programs: options.Programs = None,
    coding: Annotated[
        Travel,
        typer.Option(
            "--coding",
            help="How counts travel: as one graded spike, or bit-serially in a coding of the core.",
            rich_help_panel=options.HARDWARE,
        ),
    ] = Travel.GRADED,
    target: Annotated[
        Path | None,
        typer.Option(
            "--target",
            metavar="FILE.toml",
            help="The chip: a file, or loihi1 or loihi2.",
            rich_help_panel=options.HARDWARE,
        ),
    ] = None,
    hardware: options.Hardware = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="S",
            min=1,
            help="Seconds after which a Lava network is given up.",
            rich_help_panel=options.HARDWARE,
        ),
    ] = 600,
) -> None:
    """Run MODEL on Lava's fixed-point simulator and compare every word, spike, state and count with golden.

    Then say what a Loihi-style chip would hold. Exits with 1 if anything differs, and names where. No Loihi hardware
    is used.
    """
    given = {"activation": activation, "threshold_k": threshold_k, "window": window}
    config = options.with_numerics(options.read_hardware(hardware), **given)
    chip = check_before(target, coding)

    from spikesim.program.compiled import is_compiled
    from spikesim.run.tokens import InputRequest
    from spikesim.support.files import atomic_directory

    mapped = is_compiled(model)
    if mapped:
        options.refuse_numbers(given, model)
    warnings: tuple[str, ...] = ()
    with ExitStack() as stack:
        workspace = None
        if output is not None:
            read = (model, text, target, hardware)
            workspace = stack.enter_context(atomic_directory(output, inputs=read, force=force))
        progress = stack.enter_context(TerminalProgress())
        from spikesim.verify.job import mapped_job, model_job

        if workspace is None:
            job = model_job(model, config, tokens=tokens, seed=seed, text=text, progress=progress)
            run = on_lava(job, programs, coding, chip, timeout, progress)
        else:
            from spikesim.report import write_report

            report = _mapped_report(
                model,
                workspace,
                config if hardware is not None or not mapped else None,
                InputRequest(text=text, seed=seed),
                command=context.find_root().obj,
                progress=progress,
            )
            warnings = report.warnings
            job = mapped_job(model if mapped else workspace, config, tokens=tokens, text=text)
            run = on_lava(job, programs, coding, chip, timeout, progress)
            with progress.stage("report"):
                write_report(report.model_copy(update={"lava": run}), workspace)
    with failures_as_sentences(complete=output):
        announce_run(run, output, warnings, job.item)
    if not run.exact:
        raise typer.Exit(1)


def check_before(target: Path | None, coding: Travel) -> Target:
    """Read the target; raise for what is missing or impossible, before the model is mapped."""
    from spikesim.backends.lava.package import find_lava
    from spikesim.backends.lava.place import require_payload
    from spikesim.backends.lava.target import read_target

    find_lava()
    chip = read_target(target)
    require_payload(chip, coding.value)
    return chip


def on_lava(
    job: Job, programs: str | None, coding: Travel, chip: Target, timeout: float, progress: Progress
) -> LavaRun:
    """Run a chain on Lava, compare it, and lay it on the chip."""
    from spikesim.backends.lava.run import execute
    from spikesim.backends.lava.summary import summarise

    found = execute(
        job.chain,
        job.words,
        job.hardware,
        coding=coding.value,
        names=options.program_names(programs, [program.text.name for program in job.programs]),
        timeout=timeout,
        progress=progress,
    )
    return summarise(found, chip, job.kinds)


def _mapped_report(
    model: Path,
    workspace: Path,
    hardware: HardwareConfig | None,
    request: InputRequest,
    *,
    command: str,
    progress: Progress,
) -> Report:
    """Return what `spikesim map` reports of a checkpoint, or `spikesim simulate` of a mapped folder."""
    from spikesim.flow import map_model, simulate_mapping
    from spikesim.hardware import HardwareConfig
    from spikesim.program.compiled import is_compiled

    if is_compiled(model):
        return simulate_mapping(model, hardware=hardware, request=request, command=command, progress=progress)
    return map_model(
        model,
        output=workspace,
        hardware=hardware or HardwareConfig(),
        request=request,
        command=command,
        progress=progress,
    )


def announce_run(
    run: LavaRun, folder: Path | None, warnings: tuple[str, ...] = (), item: Item = "token"
) -> None:
    """Print what was compared, the traffic, the target, what the run of the golden model warned of, and where the
    report is.
    """
    from rich.text import Text

    from spikesim.report import HTML_NAME
    from spikesim.report.lava import (
        placement_sentences,
        statement,
        steps_sentence,
        traffic_sentence,
        verdict_line,
        widths_sentence,
    )

    console = stdout()
    console.print(_table(run, item))
    console.print(Text(reword(verdict_line(run), item), style="" if run.exact else "bold red"))
    for difference in run.differences:
        console.one_line(f"  {difference}", style="red")
    for sentence in (
        traffic_sentence(run),
        steps_sentence(run),
        widths_sentence(run),
        *placement_sentences(run),
    ):
        console.print(Text(reword(sentence, item)))
    console.print(Text(f"{statement(run)}.", style="bold"))
    for warning in warnings:
        console.print(Text(warning, style="yellow"))
    if folder is not None:
        console.one_line(f"report: {folder / HTML_NAME}")


def _table(run: LavaRun, item: Item) -> Table:
    """Return a row per program."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"Lava, {run.coding.replace('_', ' ')}, {plural(run.tokens, item)}"
    table = Table(
        box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", pad_edge=False, collapse_padding=True
    )
    table.add_column("", no_wrap=True)
    for name in ("stages", "words", "spikes", "states", "counts", "differ", f"spikes/{item}"):
        table.add_column(name, justify="right", no_wrap=True)
    for program in run.programs:
        c = program.compared
        numbers = (program.stages, c.words, c.spikes, c.states, c.counts)
        table.add_row(
            Text(program.name),
            *(f"{number:,}" for number in numbers),
            Text(f"{c.different:,}", style="bold red" if c.different else ""),
            f"{program.spikes_per_token:,.0f}",
        )
    return table
