"""`spikesim verify`: the whole model on the RTL, against the simulator."""

from __future__ import annotations

import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikesim.cli import options
from spikesim.cli.console import stdout
from spikesim.cli.progress import TerminalProgress
from spikesim.errors import OutputError

if TYPE_CHECKING:
    from spikesim.verify.lockstep import BuiltCore, LockstepResult


class Which(StrEnum):
    """Cores to verify."""

    BOTH = "both"
    SPIKING = "spiking"
    DENSE = "dense"


def verify(
    model: options.Model,
    tokens: Annotated[
        int,
        typer.Option("--tokens", metavar="N", min=1, help="Tokens to run.", rich_help_panel=options.INPUT),
    ] = 16,
    seed: options.Seed = 0,
    core: Annotated[
        Which, typer.Option("--core", help="Which datapath.", rich_help_panel=options.HARDWARE)
    ] = Which.BOTH,
    hardware: options.Hardware = None,
    coding: options.Coding = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Keep the RTL, its build and its record here. Without it they are kept only if something differs.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
) -> None:
    """Run MODEL on the RTL in Verilator and compare every word, instruction cycle and counter with the simulator.

    Exits with 1 if anything differs, names where, and leaves a waveform.
    """
    config = options.with_numerics(
        options.read_hardware(hardware),
        coding=coding,
        activation=activation,
        threshold_k=threshold_k,
        window=window,
    )
    from spikesim.tools.verilator import check_compiler, verilator_root

    # What is missing is said before the model is mapped.
    verilator_root()
    check_compiler()
    folder = _folder(output)
    keep = output is not None
    try:
        from spikesim.mapping.link import link
        from spikesim.rtl.emit import resident_config
        from spikesim.verify.job import model_job
        from spikesim.verify.lockstep import BuiltCore, Lockstep, enlarged, one_core

        agree = True
        with TerminalProgress() as progress:
            job = model_job(model, one_core(config), tokens=tokens, seed=seed, progress=progress)
            sized, notes = enlarged(job.chain, job.hardware)
            for note in notes:
                stdout().print(note, style="yellow", highlight=False)
            layout = link(job.chain, sized)
            for name in ("spiking", "dense") if core is Which.BOTH else (core.value,):
                built = BuiltCore(resident_config(sized, layout, dense=name == "dense"), folder / name)
                with progress.stage(f"build {name}"):
                    built.binary()
                with progress.stage(f"run {name}"):
                    result = Lockstep(job.chain, sized, built, folder / name).run(job.words)
                _print(name, built, result)
                agree = agree and result.comparison.agrees
        keep = keep or not agree
        if keep:
            stdout().print(f"kept in {folder}", soft_wrap=True, highlight=False)
        if not agree:
            raise typer.Exit(1)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(output: Path | None) -> Path:
    try:
        if output is None:
            return Path(tempfile.mkdtemp(prefix="spikesim-verify-"))
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".spikesim-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"output folder {output} must be a folder that can be written: {error.strerror}"
        ) from error
    return output


def _print(name: str, built: BuiltCore, result: LockstepResult) -> None:
    """What agreed, or the first differences."""
    console, found = stdout(), result.comparison
    stages = {"build": built.seconds, **result.seconds}
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in stages.items())
    head = f"{name} core, {found.tokens} tokens:"
    if found.agrees:
        console.print(
            f"{head} {found.values:,} values, {found.instructions:,} instructions, {found.cycles:,} cycles and "
            f"{len(found.counters)} counters agree ({seconds})",
            highlight=False,
            soft_wrap=True,
        )
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.differing.items())
    console.print(f"{head} DIFFERENT: {kinds}", style="bold red", highlight=False)
    for difference in found.differences:
        console.print(f"  {difference}", highlight=False, soft_wrap=True, markup=False)
    if result.wave is not None:
        console.print(f"  waveform: {result.wave}", highlight=False, soft_wrap=True)
