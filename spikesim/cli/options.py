"""Options that several commands share, and what they mean together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spikesim.hardware import HardwareConfig
    from spikesim.run.tokens import InputRequest

INPUT, HARDWARE, POWER, OUTPUT = "Input", "Hardware and numbers", "Area and power", "Output"

LEAST_MHZ, MOST_MHZ = 0.001, 10_000
"""What a hardware file allows as well."""

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A .pt checkpoint, a model directory, a .pt2 or .nir network, or what `spikesim map` wrote.",
        show_default=False,
    ),
]
"""A checkpoint or a mapped folder, for commands that take either."""

SummaryOnly = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="Folder for a report. Without it the summary is printed only.",
        rich_help_panel=OUTPUT,
    ),
]
"""Where a report goes, for commands that need not write one."""

Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="FILE",
        help="Run these token ids: numbers in a text, or a .npy array, whose rows are sequences.",
        rich_help_panel=INPUT,
    ),
]
Text = Annotated[
    Path | None,
    typer.Option(
        "--text", metavar="FILE", help="Run this text, through the model's tokenizer.", rich_help_panel=INPUT
    ),
]
RandomTokens = Annotated[
    int | None,
    typer.Option(
        "--random-tokens",
        metavar="N",
        min=1,
        help="Run N random token ids; fidelity and sparsity then say little about text.",
        rich_help_panel=INPUT,
    ),
]
SequenceLength = Annotated[
    int | None,
    typer.Option(
        "--sequence-length",
        metavar="N",
        min=1,
        help="Cut the input into sequences of N tokens. Default: 256, or as the model was mapped.",
        rich_help_panel=INPUT,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="Run the first N tokens only.", rich_help_panel=INPUT
    ),
]
SampleFile = Annotated[
    Path | None,
    typer.Option(
        "--samples",
        metavar="FILE",
        help="Run these samples through a network: a .npz of x and, for accuracy, classes y; or a .npy of x.",
        rich_help_panel=INPUT,
    ),
]
MaxSamples = Annotated[
    int | None,
    typer.Option(
        "--max-samples", metavar="N", min=1, help="Run the first N samples only.", rich_help_panel=INPUT
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="N",
        min=1,
        help="Longest sequence that caches are laid out for, at most limits.max_context. Default: the longest of the "
        "run.",
        rich_help_panel=HARDWARE,
    ),
]
CoreContext = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="N",
        min=1,
        help="Longest sequence that caches are laid out for, at most limits.max_context. Default: 256, or --tokens if "
        "that is more; what `spikesim map` wrote keeps its own.",
        rich_help_panel=HARDWARE,
    ),
]
Cached = Annotated[
    int,
    typer.Option(
        "--cached",
        metavar="N",
        min=0,
        help="Count cycles as if every sequence had N tokens behind it: the run's own keys and values, repeated.",
        rich_help_panel=INPUT,
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", min=0, help="For random tokens or samples.", rich_help_panel=INPUT),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Text, or token ids in a .npy array, that set the static scales; samples for a network, as --samples.",
        rich_help_panel=INPUT,
    ),
]
Hardware = Annotated[
    Path | None,
    typer.Option(
        "--hardware",
        metavar="FILE.toml",
        help="The core and its memories; every setting has a default.",
        rich_help_panel=HARDWARE,
    ),
]
Coding = Annotated[
    str | None,
    typer.Option(
        "--coding",
        metavar="NAME",
        help="How integers become events: bitwise, signed_digit, twos_complement or ternary.",
        rich_help_panel=HARDWARE,
    ),
]
Activation = Annotated[
    str | None,
    typer.Option(
        "--activation",
        metavar="NAME",
        help="Where integers come from: threshold (adaptive) or int8 (largest magnitude).",
        rich_help_panel=HARDWARE,
    ),
]
ThresholdK = Annotated[
    float | None,
    typer.Option(
        "--threshold-k",
        metavar="K",
        help="Threshold = mean |x| ÷ K; larger is finer and makes more spikes.",
        rich_help_panel=HARDWARE,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        metavar="T",
        help="Bit planes of an activation, 1 to 7; what does not fit is clipped and counted.",
        rich_help_panel=HARDWARE,
    ),
]
ClockMhz = Annotated[
    float | None,
    typer.Option(
        "--clock-mhz",
        metavar="F",
        help="Clock frequency in MHz, in place of the hardware file's.",
        rich_help_panel=HARDWARE,
    ),
]
Liberty = Annotated[
    Path | None,
    typer.Option(
        "--liberty",
        metavar="FILE.lib",
        help="Cell library of the synthesis. Default: Nangate45, typical corner.",
        rich_help_panel=POWER,
    ),
]
Programs = Annotated[
    str | None,
    typer.Option(
        "--programs",
        metavar="NAME,…",
        help="These programs only, such as layer_00,head.",
        rich_help_panel=INPUT,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result.", rich_help_panel=OUTPUT)]


def input_request(
    tokens: Path | None,
    text: Path | None,
    random_tokens: int | None,
    sequence_length: int | None,
    max_tokens: int | None,
    seed: int,
    *,
    samples: Path | None = None,
    max_samples: int | None = None,
) -> InputRequest:
    """Put the input options together; a usage error if more than one kind of input is named."""
    from spikesim.run.tokens import InputRequest

    given = {"--tokens": tokens, "--text": text, "--random-tokens": random_tokens, "--samples": samples}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise typer.BadParameter(f"give one of {' and '.join(names)}, not several")
    return InputRequest(
        tokens=tokens,
        text=text,
        random_tokens=random_tokens,
        sequence_length=sequence_length,
        max_tokens=max_tokens,
        samples=samples,
        max_samples=max_samples,
        seed=seed,
    )


def program_names(given: str | None, known: Sequence[str]) -> list[str]:
    """Return the names of `--programs`, or all that are known; a usage error for any other."""
    if given is None:
        return list(known)
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"--programs must be of {', '.join(known)}, not {name or 'nothing'}")
    return names


def refuse_numbers(given: Mapping[str, object], model: Path) -> None:
    """Raise a usage error for settings that a mapped model cannot follow any more."""
    for name, value in given.items():
        if value is not None:
            option = "--" + name.replace("_", "-")
            raise typer.BadParameter(
                f"{option} has no effect on {model}: its programs keep the numbers that they were mapped with"
            )


def read_hardware(path: Path | None) -> HardwareConfig:
    """Read a hardware file, or return the default hardware. Raises `HardwareError`."""
    from spikesim.hardware import HardwareConfig

    return HardwareConfig() if path is None else HardwareConfig.from_toml(path)


def with_clock(hardware: HardwareConfig, megahertz: float | None) -> HardwareConfig:
    """Return the hardware with another clock, if one is given. A usage error if it cannot be one."""
    if megahertz is None:
        return hardware
    if not LEAST_MHZ <= megahertz <= MOST_MHZ:  # false for NaN too
        raise typer.BadParameter(
            f"--clock-mhz must be from {LEAST_MHZ} to {MOST_MHZ:,} MHz, not {megahertz:g}"
        )
    return hardware.replace(**{"clock.frequency_hz": round(1e6 * megahertz)})


def with_numerics(hardware: HardwareConfig, **given: object) -> HardwareConfig:
    """Return the hardware with the settings of the command line, those that were given.

    Raises `HardwareError` for a wrong value and a usage error for one without effect.
    """
    changed = hardware.replace(
        **{f"numerics.{name}": value for name, value in given.items() if value is not None}
    )
    if changed.numerics.activation == "int8" and given["threshold_k"] is not None:
        raise typer.BadParameter("--threshold-k has no effect with int8 activations")
    return changed
