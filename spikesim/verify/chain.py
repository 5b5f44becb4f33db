"""The programs of a model and the words that its tokens become: what a lockstep run needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.flow import MAPPING_FILE, PROGRAM_FOLDER, map_model, read_mapping
from spikesim.hardware import HardwareConfig, MemoryConfig, Within
from spikesim.program import (
    ACTIVATION_LIMIT,
    Gather,
    Multiply,
    Program,
    ProgramText,
    Reduction,
    Section,
    View,
)
from spikesim.run.mapped import mapped_program
from spikesim.run.tokens import InputRequest, evaluation_tokens, load_tokens
from spikesim.support.progress import SILENT, Progress

SELF_TEST_CHANNELS, SELF_TEST_OUTPUTS = 48, 40


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Programs in the order of execution; `words`: int32[tokens, hidden], the residual stream's input per token."""

    programs: list[Program]
    words: NDArray[np.int32]
    hardware: HardwareConfig


def _roomy(hardware: HardwareConfig) -> HardwareConfig:
    """The hardware with memories for any model: programs do not depend on them, and who takes them asks for room."""
    ranges = {
        name: next(rule.high for rule in field.metadata if isinstance(rule, Within))
        for name, field in MemoryConfig.model_fields.items()
    }
    return hardware.replace(**{f"memory.{name}": high for name, high in ranges.items()})


@contextmanager
def _mapped(
    model: Path, hardware: HardwareConfig, request: InputRequest, progress: Progress
) -> Iterator[Path]:
    """A folder as `spikesim map` writes it: the model itself if it is one, else a temporary one."""
    if (model / MAPPING_FILE).is_file():
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="spikesim-") as folder:
        map_model(model, output=Path(folder), hardware=_roomy(hardware), request=request, progress=progress)
        yield Path(folder)


def model_chain(
    model: Path,
    hardware: HardwareConfig,
    *,
    tokens: int,
    seed: int = 0,
    text: Path | None = None,
    progress: Progress = SILENT,
) -> Chain:
    """All programs of a checkpoint or of a mapped folder, and the first `tokens` tokens of its input, or of `text`.

    A mapped folder keeps the numbers it was mapped with. Raises a SpikesimError for whatever the user can put right.
    """
    request = InputRequest(max_tokens=tokens, sequence_length=tokens, text=text, seed=seed)
    with _mapped(model, hardware, request, progress) as folder:
        return mapped_chain(folder, hardware, tokens=tokens, text=text if folder == model else None)


def mapped_chain(folder: Path, hardware: HardwareConfig, *, tokens: int, text: Path | None = None) -> Chain:
    """All programs of a mapped folder, and the first `tokens` tokens of its input, or of `text`.

    Raises CapacityError for more tokens than the programs keep keys and values for.
    """
    summary, mapped, table = read_mapping(folder)
    longest = mapped.limits.max_context
    if tokens > longest:
        raise CapacityError(
            f"tokens must be at most {longest}, for which the programs were compiled, not {tokens}"
        )
    programs = folder / PROGRAM_FOLDER
    if text is None:
        run = load_tokens(programs, InputRequest(max_tokens=tokens), summary.vocab_size)
    else:
        request = InputRequest(text=text, max_tokens=tokens, sequence_length=tokens)
        run = evaluation_tokens(request, folder, summary.vocab_size, longest)
    names = ["position", *(f"layer_{n:02d}" for n in range(len(summary.layer_kinds))), "head"]
    return Chain(
        programs=[mapped_program(folder, name, summary) for name in names],
        words=table[run.ids.reshape(-1)[:tokens]].astype(np.int32),
        hardware=hardware.model_copy(update={"numerics": mapped.numerics}),
    )


def self_test_chain(hardware: HardwareConfig, tokens: int = 4) -> Chain:
    """A program of three instructions with random weights, to try a core that was generated without a model."""
    generator = np.random.default_rng(1)
    matrix = generator.integers(-127, 128, (SELF_TEST_OUTPUTS, SELF_TEST_CHANNELS)).astype(np.int8)
    scales = generator.integers(1, 2**15, SELF_TEST_OUTPUTS).astype(np.int32)

    def whole(name: str, length: int) -> View:
        return View(name=name, length=length, stride=length)

    instructions = (
        Multiply(dst=whole("counts", SELF_TEST_CHANNELS), a=whole("h", SELF_TEST_CHANNELS), limit=127),
        Gather(
            dst=whole("sums", SELF_TEST_OUTPUTS),
            counts=whole("counts", SELF_TEST_CHANNELS),
            operand="matrix",
            name="weights",
        ),
        Multiply(
            dst=whole("out", SELF_TEST_OUTPUTS),
            a=whole("sums", SELF_TEST_OUTPUTS),
            b=whole("scales", SELF_TEST_OUTPUTS),
            shift_b=15,
            limit=ACTIVATION_LIMIT,
            reduce=Reduction(kind="max_abs", dst=whole("peak", 1)),
        ),
    )
    text = ProgramText(
        name="self_test",
        kind="self_test",
        inputs=("h",),
        output="out",
        vectors={
            "h": SELF_TEST_CHANNELS,
            "counts": SELF_TEST_CHANNELS,
            "sums": SELF_TEST_OUTPUTS,
            "scales": SELF_TEST_OUTPUTS,
            "out": SELF_TEST_OUTPUTS,
            "peak": 1,
        },
        sections=(Section(kind="parallel", instructions=instructions),),
    )
    program = Program(text=text, constants={"scales": scales}, matrices={"weights": matrix})
    words = generator.integers(-60, 61, (tokens, SELF_TEST_CHANNELS)).astype(np.int32)
    return Chain(programs=[program], words=words, hardware=hardware)
