"""`spikesim verify`: the whole model on the RTL, against the simulator."""

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
from spikesim.cores import CORES, CoreName
from spikesim.report.numbers import plural

if TYPE_CHECKING:
    from spikesim.results.report import Item
    from spikesim.verify.lockstep import BuiltCore, LockstepResult


class Which(StrEnum):
    """Cores to verify."""

    ALL = "all"
    BOTH = "both"
    SPIKING = "spiking"
    DENSE = "dense"
    SKIPPING = "skipping"

    @property
    def cores(self) -> tuple[CoreName, ...]:
        """Their names. "both": without the twin that skips zeros."""
        if self is Which.BOTH:
            return ("spiking", "dense")
        return tuple(core for core in CORES if self is Which.ALL or core == self.value)


def verify(
    model: options.Model,
    tokens: Annotated[
        int,
        typer.Option(
            "--tokens",
            metavar="N",
            min=1,
            help="Tokens to run; frames, or steps, of a network.",
            rich_help_panel=options.INPUT,
        ),
    ] = 16,
    seed: options.Seed = 0,
    core: Annotated[
        Which,
        typer.Option(
            "--core", help="Which datapath; both: spiking and dense.", rich_help_panel=options.HARDWARE
        ),
    ] = Which.ALL,
    hardware: options.Hardware = None,
    context: options.CoreContext = None,
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
    force: options.Force = False,
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
    from spikesim.support.files import atomic_directory
    from spikesim.support.temporary import kept, temporary_folder
    from spikesim.tools.verilator import check_compiler, verilator_root

    # What is missing is said before the model is mapped.
    verilator_root()
    check_compiler()
    found: list[LockstepResult] = []
    with ExitStack() as stack:
        if output is None:
            workspace = stack.enter_context(temporary_folder())
        else:
            workspace = stack.enter_context(atomic_directory(output, inputs=(model, hardware), force=force))
        progress = stack.enter_context(TerminalProgress())
        from spikesim.mapping.link import link
        from spikesim.rtl.config import datapath
        from spikesim.rtl.emit import resident_config
        from spikesim.verify.job import model_job
        from spikesim.verify.lockstep import BuiltCore, Lockstep, enlarged, one_core

        job = model_job(model, one_core(config), tokens=tokens, context=context, seed=seed, progress=progress)
        sized, notes = enlarged(job.chain, job.hardware)
        for note in notes:
            stdout().print(note, style="yellow")
        layout = link(job.chain, sized)
        words = job.words if job.sequences is None else job.sequences
        for name in core.cores:
            built = BuiltCore(resident_config(sized, layout, **datapath(name)), workspace / name)
            with progress.stage(f"build {name}"):
                built.binary()
            with progress.stage(f"run {name}"):
                found.append(Lockstep(job.chain, sized, built, workspace / name).run(words))
            _print(name, built, found[-1], job.item)
        agree = all(result.comparison.agrees for result in found)
        folder = output if output is not None or agree else kept(workspace, "spikesim-verify-")
    if folder is not None:
        with failures_as_sentences(complete=folder):
            for result in found:
                if result.wave is not None:
                    wave = folder / result.wave.relative_to(workspace)
                    stdout().one_line(f"waveform: {wave}")
            stdout().one_line(f"kept in {folder}")
    if not agree:
        raise typer.Exit(1)


def _print(name: str, built: BuiltCore, result: LockstepResult, item: Item) -> None:
    """What agreed, or the first differences."""
    console, found = stdout(), result.comparison
    stages = {"build": built.seconds, **result.seconds}
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in stages.items())
    head = f"{name} core, {plural(found.tokens, item)}:"
    if found.agrees:
        console.one_line(
            f"{head} {found.values:,} values, {found.instructions:,} instructions, {found.cycles:,} cycles and "
            f"{len(found.counters)} counters agree ({seconds})"
        )
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.differing.items())
    console.print(f"{head} DIFFERENT: {kinds}", style="bold red")
    for difference in found.differences:
        console.one_line(f"  {difference}")
