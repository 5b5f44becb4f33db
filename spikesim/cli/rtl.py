"""`spikesim rtl`: Verilog, memory images and an example bench of one configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli import options
from spikesim.cli.console import stdout
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.progress import TerminalProgress
from spikesim.cores import CoreName


def rtl(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A checkpoint or what `spikesim map` wrote. Without it the images hold a short self-test.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for everything. Default: the model's name and -rtl.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    force: options.Force = False,
    dense: Annotated[
        bool,
        typer.Option("--dense", help="The dense INT8 twin.", rich_help_panel=options.HARDWARE),
    ] = False,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Ports that show every write to vector memory and every instruction's end.",
            rich_help_panel=options.HARDWARE,
        ),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="NAME",
            help="What the core is made of: asic (gates and macros) or ecp5 (an LFE5U-85F, whose memory it must fit).",
            rich_help_panel=options.HARDWARE,
        ),
    ] = "asic",
    tokens: Annotated[
        int,
        typer.Option(
            "--tokens",
            metavar="N",
            min=1,
            help="Tokens of the example bench; frames, or steps, of a network.",
            rich_help_panel=options.INPUT,
        ),
    ] = 4,
    hardware: options.Hardware = None,
    context: options.CoreContext = None,
    coding: options.Coding = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
) -> None:
    """Write the core that runs MODEL as Verilog, with its memory images, a manifest and a bench that runs it."""
    config = options.with_numerics(
        options.read_hardware(hardware),
        coding=coding,
        activation=activation,
        threshold_k=threshold_k,
        window=window,
    )
    named = model.resolve().stem if model is not None else "spike_core"
    folder = output if output is not None else Path(f"{named}-rtl")

    from spikesim.support.files import atomic_directory

    with (
        atomic_directory(folder, inputs=(model, hardware), force=force) as workspace,
        TerminalProgress() as progress,
    ):
        from spikesim.rtl.devices import device_named
        from spikesim.verify.bench import write_design
        from spikesim.verify.job import model_job, self_test_job
        from spikesim.verify.lockstep import enlarged, one_core

        if model is None:
            job = self_test_job(one_core(config), tokens)
        else:
            job = model_job(model, one_core(config), tokens=tokens, context=context, progress=progress)
            sized, notes = enlarged(job.chain, job.hardware)
            job = replace(job, hardware=sized)
            for note in notes:
                stdout().print(note, style="yellow")
        with progress.stage("emit"):
            core: CoreName = "dense" if dense else "spiking"
            files = write_design(
                workspace, job, core=core, general=model is None, device=device_named(target), trace=trace
            )
    with failures_as_sentences(complete=folder):
        console = stdout()
        for name, what in files.items():
            console.one_line(f"{folder / name}: {what}")
