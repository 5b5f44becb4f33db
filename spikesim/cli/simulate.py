"""`spikesim simulate`: run a mapped model again, without its checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli import options
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.outcome import announce
from spikesim.cli.progress import TerminalProgress


def simulate(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What `spikesim map` wrote.", show_default=False)
    ],
    output: options.SummaryOnly = None,
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
    hardware: options.Hardware = None,
) -> None:
    """Run the programs in DIR on other tokens or samples, or on other hardware.

    There is no float model in DIR, so fidelity against it is not measured.
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
    config = None if hardware is None else options.read_hardware(hardware)

    from spikesim.support.files import atomic_directory

    with ExitStack() as stack:
        workspace = None
        if output is not None:
            read = (folder, tokens, text, samples, hardware)
            workspace = stack.enter_context(atomic_directory(output, inputs=read, force=force))
        from spikesim.flow import simulate_mapping
        from spikesim.report import write_report

        progress = stack.enter_context(TerminalProgress())
        report = simulate_mapping(
            folder,
            hardware=config,
            request=request,
            cached=cached,
            command=context.find_root().obj,
            progress=progress,
        )
        if workspace is not None:
            with progress.stage("report"):
                write_report(report, workspace)
    with failures_as_sentences(complete=output):
        announce(report, output)
