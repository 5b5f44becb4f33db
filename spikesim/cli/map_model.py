"""`spikesim map`: from a trained model to a program, a simulation and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli import options
from spikesim.cli.compare import check_tools, with_area_and_power
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.outcome import announce
from spikesim.cli.progress import TerminalProgress


def map_command(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A .pt checkpoint, a model directory, or a .pt2 or .nir network.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for the report and the programs. Default: the model's name and -spikesim.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    force: options.Force = False,
    tokens: options.Tokens = None,
    text: options.Text = None,
    random_tokens: options.RandomTokens = None,
    seed: options.Seed = 0,
    sequence_length: options.SequenceLength = None,
    max_tokens: options.MaxTokens = None,
    samples: options.SampleFile = None,
    max_samples: options.MaxSamples = None,
    cached: options.Cached = 0,
    calibration: options.Calibration = None,
    hardware: options.Hardware = None,
    longest: options.Context = None,
    clock_mhz: options.ClockMhz = None,
    coding: options.Coding = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Compare area and power too, as `spikesim compare` does.",
            rich_help_panel=options.POWER,
        ),
    ] = False,
    liberty: options.Liberty = None,
) -> None:
    """Quantise MODEL, compile it for the core, simulate it, and write a report.

    Without an input, a language model that comes with held-out text runs that; any other runs random tokens. A network
    runs --samples, or random ones.
    """
    request = options.input_request(
        tokens,
        text,
        random_tokens,
        sequence_length,
        max_tokens,
        seed,
        samples=samples,
        max_samples=max_samples,
    )
    config = options.with_numerics(
        options.with_clock(options.read_hardware(hardware), clock_mhz),
        coding=coding,
        activation=activation,
        threshold_k=threshold_k,
        window=window,
    )
    folder = output if output is not None else Path(f"{model.resolve().stem}-spikesim")
    if cached and power:
        raise typer.BadParameter(
            "--cached does not go with --power, which runs whole tokens from empty caches"
        )
    if liberty is not None and not power:
        raise typer.BadParameter("--liberty goes with --power")

    from spikesim.support.files import atomic_directory

    read = (model, tokens, text, samples, calibration, hardware, liberty)
    with atomic_directory(folder, inputs=read, force=force) as workspace:
        if power:
            check_tools(liberty)

        from spikesim.flow import map_model
        from spikesim.report import write_report

        with TerminalProgress() as progress:
            report = map_model(
                model,
                output=workspace,
                hardware=config,
                calibration=calibration,
                request=request,
                context=longest,
                cached=cached,
                command=context.find_root().obj,
                progress=progress,
            )
            if power:
                report = with_area_and_power(
                    report, workspace, hardware=config, liberty=liberty, progress=progress
                )
            with progress.stage("report"):
                write_report(report, workspace)
    with failures_as_sentences(complete=folder):
        announce(report, folder)
