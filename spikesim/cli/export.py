"""`spikesim export`: the matrix gathers of a model in a format that other tools run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikesim.cli import options
from spikesim.cli.console import stdout
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from spikesim.backends.nir.manifest import Manifest
    from spikesim.program import Program


class FileFormat(StrEnum):
    """Formats there are."""

    NIR = "nir"


class Tool(StrEnum):
    """Tools that a NIR graph can be written for: the keys of `spikesim.backends.nir.targets.TARGETS`."""

    NORSE = "norse"
    SNNTORCH = "snntorch"


def export(
    model: options.Model,
    target: Annotated[
        Tool,
        typer.Option(
            "--target",
            help="Tool that will run the graphs; they are exact in no other.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for the graphs and export.json.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ],
    form: Annotated[
        FileFormat, typer.Option("--format", help="FileFormat of the graphs.", rich_help_panel=options.OUTPUT)
    ] = FileFormat.NIR,
    programs: options.Programs = None,
    force: options.Force = False,
    hardware: options.Hardware = None,
    coding: options.Coding = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
) -> None:
    """Write the matrix gathers of MODEL as NIR graphs that --target runs exactly, and list what NIR cannot express.

    Counts enter as bit planes in --coding, by default that of the model's numerics.
    """
    config = options.with_numerics(
        options.read_hardware(hardware),
        coding=coding,
        activation=activation,
        threshold_k=threshold_k,
        window=window,
    )

    from spikesim.backends.nir.exactness import checked_plane_coding
    from spikesim.backends.nir.package import nir_package
    from spikesim.backends.nir.targets import checked_target
    from spikesim.program.compiled import is_compiled
    from spikesim.support.files import atomic_directory

    # What is missing or cannot be is said before the model is mapped.
    nir_package()
    mapped = is_compiled(model)
    if mapped:
        given = {"hardware": hardware, "activation": activation, "threshold_k": threshold_k, "window": window}
        options.refuse_numbers(given, model)
    if coding is not None or not mapped:
        checked_plane_coding(config.numerics.coding)
    with (
        atomic_directory(output, inputs=(model, hardware), force=force) as workspace,
        TerminalProgress() as progress,
    ):
        from spikesim.backends.nir.export import export_programs
        from spikesim.verify.job import model_job

        # One token will do: neither weights nor instructions depend on what runs.
        job = model_job(model, config, tokens=1, progress=progress)
        chosen = _chosen(job.programs, programs)
        manifest = export_programs(
            chosen,
            workspace,
            target=checked_target(target.value),
            coding=coding or job.hardware.numerics.coding,
            model=model.resolve().name.removesuffix(".pt"),
            not_chosen=[name for name in _names(job.programs) if name not in _names(chosen)],
            progress=progress,
        )
    with failures_as_sentences(complete=output):
        _announce(manifest, output)


def _chosen(programs: Sequence[Program], given: str | None) -> Sequence[Program]:
    """The programs named, in the order of execution, or all; a usage error for a name without matrices to export."""
    if given is None:
        return programs
    names = options.program_names(given, _names(program for program in programs if program.matrices))
    return [program for program in programs if program.text.name in names]


def _names(programs: Iterable[Program]) -> list[str]:
    return [program.text.name for program in programs]


def _announce(manifest: Manifest, folder: Path) -> None:
    """Print what was written, what was left out and what to know before running it."""
    from rich.text import Text

    from spikesim.backends.nir.manifest import MANIFEST_FILE

    console, coding = stdout(), manifest.input
    console.print(_table(manifest))
    total = sum(program.instructions for program in manifest.programs)
    exported = sum(program.exported for program in manifest.programs)
    kinds = ", ".join(f"{entry.count} {entry.op}" for entry in manifest.left_out)
    console.print(
        Text(
            f"{exported} of {total:,} instructions are in the graphs; left out, with reasons in {MANIFEST_FILE}:"
            f" {kinds or 'none'}"
        ),
        soft_wrap=True,
    )
    wide = sum(file.float_bits == 64 for file in manifest.files)
    if wide:
        console.print(
            Text(
                f"{wide} graphs are exact in 64-bit floats only: call double() on the network", style="yellow"
            ),
            soft_wrap=True,
        )
    console.print(
        Text(
            f"run them in {manifest.target.name} {manifest.target.version} with dt = {manifest.target.dt_s:g} s,"
            f" {coding.planes} planes of {coding.coding} per token, {coding.order};"
            " in another tool they are not exact"
        ),
        soft_wrap=True,
    )
    console.one_line(f"manifest: {folder / MANIFEST_FILE}")


def _table(manifest: Manifest) -> Table:
    """Return a row per program."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{manifest.model}: {len(manifest.files)} NIR graphs for {manifest.target.name}"),
        title_justify="left",
    )
    table.add_column("program")
    for name in ("graphs", "weights", "integers up to", "float", "left out"):
        table.add_column(name, justify="right", no_wrap=True)
    for program in manifest.programs:
        files = program.files
        table.add_row(
            Text(program.name),
            f"{len(files)}",
            f"{sum(file.channels * file.outputs for file in files):,}",
            f"{max((file.largest for file in files), default=0):,}",
            f"{max(file.float_bits for file in files)}" if files else "",
            f"{program.instructions - program.exported}",
        )
    return table
