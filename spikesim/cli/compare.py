"""`spikesim compare`: area, timing, power and energy of the spiking core against its dense twin."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikesim.cli import options
from spikesim.cli.console import stderr
from spikesim.cli.failures import failures_as_sentences
from spikesim.cli.outcome import announce
from spikesim.cli.progress import TerminalProgress
from spikesim.errors import ToolError

if TYPE_CHECKING:
    from spikesim.hardware import HardwareConfig
    from spikesim.results.report import Report
    from spikesim.run.tokens import InputRequest
    from spikesim.support.progress import Progress


def compare(
    context: typer.Context,
    model: options.Model,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for the report (and the programs of a checkpoint). Default: the model's name and -compare.",
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
    calibration: options.Calibration = None,
    hardware: options.Hardware = None,
    longest: options.Context = None,
    clock_mhz: options.ClockMhz = None,
    coding: options.Coding = None,
    activation: options.Activation = None,
    threshold_k: options.ThresholdK = None,
    window: options.Window = None,
    liberty: options.Liberty = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Simulate the netlists on fewer tokens, and leave out the break-even curves.",
            rich_help_panel=options.POWER,
        ),
    ] = False,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Synthesise and simulate anew what an earlier run has kept.",
            rich_help_panel=options.POWER,
        ),
    ] = False,
) -> None:
    """Synthesise the spiking core and its dense twins, simulate their gates on MODEL, and compare area and power.

    One twin takes zeros, too, the other skips them. The report then has a section on area, power, energy per token and
    tokens per second at equal area on four bases: per unit, array and encoder at equal throughput, the same with row
    memory, and the whole core with memories. It also has everything that `spikesim map` reports.
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
    given = {"coding": coding, "activation": activation, "threshold_k": threshold_k, "window": window}
    config = options.with_numerics(options.with_clock(options.read_hardware(hardware), clock_mhz), **given)
    folder = output if output is not None else Path(f"{model.resolve().stem}-compare")

    from spikesim.support.files import atomic_directory

    read = (model, tokens, text, samples, calibration, hardware, liberty)
    with atomic_directory(folder, inputs=read, force=force) as workspace:
        check_tools(liberty, use_cache=not no_cache)

        from spikesim.flow import map_model, simulate_mapping
        from spikesim.program.compiled import is_compiled, open_compiled
        from spikesim.report import write_report

        command = context.find_root().obj
        with TerminalProgress() as progress:
            if is_compiled(model):
                options.refuse_numbers({**given, "calibration": calibration, "context": longest}, model)
                mapped = open_compiled(model).text.hardware
                # Numbers are part of the programs: they stay as they were mapped, whatever the hardware file says.
                if hardware is None:
                    config = options.with_clock(mapped, clock_mhz)
                config = config.model_copy(update={"numerics": mapped.numerics})
                programs = model
                report = simulate_mapping(
                    model, hardware=config, request=request, command=command, progress=progress
                )
            else:
                programs = workspace
                report = map_model(
                    model,
                    output=workspace,
                    hardware=config,
                    calibration=calibration,
                    request=request,
                    context=longest,
                    command=command,
                    progress=progress,
                )
            report = with_area_and_power(
                report,
                programs,
                hardware=config,
                liberty=liberty,
                request=request if programs == model else None,
                progress=progress,
                quick=quick,
                use_cache=not no_cache,
            )
            with progress.stage("report"):
                write_report(report, workspace)
    with failures_as_sentences(complete=folder):
        announce(report, folder)


def check_tools(liberty: Path | None, *, use_cache: bool = True) -> None:
    """Raise `ToolError`, `LibertyError` or `OutputError`, before any work, if synthesis could not even begin."""
    if importlib.util.find_spec("pyosys") is None:
        raise ToolError("Yosys must be installed to synthesise: pip install 'pyosys>=0.70'")

    from rich.text import Text

    from spikesim.power_models.cache import ResultCache
    from spikesim.power_models.liberty.check import check_library
    from spikesim.power_models.liberty.read import read_liberty
    from spikesim.power_models.synthesis.synthesis import default_liberty
    from spikesim.support.cache_folder import user_folder

    check_library(read_liberty(default_liberty() if liberty is None else liberty))
    if note := ResultCache(user_folder() if use_cache else None).check():
        stderr().print(Text(f"nothing is kept for the next run: {note}", style="yellow"), soft_wrap=True)


def with_area_and_power(
    report: Report,
    programs: Path,
    *,
    hardware: HardwareConfig,
    liberty: Path | None,
    progress: Progress,
    request: InputRequest | None = None,
    quick: bool = False,
    use_cache: bool = True,
) -> Report:
    """Return the report with the comparison in it; `programs` is the folder that a mapping was written to.

    `request`: what ran, if it was not what the programs were mapped with.
    """
    from spikesim.compare import CompareSettings, add_comparison
    from spikesim.run.tokens import InputRequest

    return add_comparison(
        report,
        programs,
        hardware=hardware,
        liberty=liberty,
        settings=CompareSettings(quick=quick, use_cache=use_cache),
        request=request or InputRequest(),
        progress=progress,
    )
