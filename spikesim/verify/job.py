"""The programs of a model and the words that its tokens become: what a lockstep run needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.flow import map_model, takes_samples
from spikesim.hardware import HardwareConfig, MemoryConfig
from spikesim.program import (
    ACTIVATION_LIMIT,
    Chain,
    Format,
    Gather,
    Multiply,
    Port,
    Program,
    ProgramText,
    Reduction,
    Section,
    View,
    series,
)
from spikesim.program.compiled import is_compiled, open_compiled
from spikesim.results.report import Item
from spikesim.run.saved_tokens import mapped_tokens, one_sequence
from spikesim.run.tokens import DEFAULT_SEQUENCE, InputRequest
from spikesim.support.progress import SILENT, Progress
from spikesim.support.temporary import temporary_folder

SELF_TEST_CHANNELS, SELF_TEST_OUTPUTS = 48, 40


@dataclass(frozen=True, kw_only=True)
class Job:
    """A chain of programs, what comes in at every step, `words`: int32[steps, words], and what it runs on.

    `sequences`: int32[sequences, steps, words], the samples of a network with state, of which `words` is the first.
    `kinds`: what each program is to a reader; `item`: what a step is of.
    """

    chain: Chain
    words: NDArray[np.int32]
    hardware: HardwareConfig
    kinds: Mapping[str, str] = field(default_factory=dict)
    item: Item = "token"
    sequences: NDArray[np.int32] | None = None

    @property
    def programs(self) -> tuple[Program, ...]:
        """In the order of execution."""
        return self.chain.programs


def _roomy(hardware: HardwareConfig) -> HardwareConfig:
    """The hardware with memories for any model: programs do not depend on them, and who takes them asks for room."""
    return hardware.replace(**{f"memory.{name}": "fit" for name in MemoryConfig.model_fields})


@contextmanager
def _mapped(
    model: Path, hardware: HardwareConfig, request: InputRequest, context: int | None, progress: Progress
) -> Iterator[Path]:
    """A folder as `spikesim map` writes it: the model itself if it is one, else a temporary one."""
    if is_compiled(model):
        if context is not None:
            raise CapacityError(
                f"{model} keeps the context that it was mapped for: --context is for checkpoints"
            )
        yield model
        return
    if context is None and not takes_samples(model):
        usual = min(DEFAULT_SEQUENCE, hardware.limits.max_context)
        context = max(usual, request.sequence_length or 1)
    with temporary_folder() as folder:
        map_model(
            model,
            output=folder,
            hardware=_roomy(hardware),
            request=request,
            context=context,
            progress=progress,
        )
        yield folder


def model_job(
    model: Path,
    hardware: HardwareConfig,
    *,
    tokens: int,
    seed: int = 0,
    text: Path | None = None,
    context: int | None = None,
    progress: Progress = SILENT,
) -> Job:
    """All programs of a model or of a mapped folder, and the first `tokens` tokens of its input, or of `text`; of a
    network as many frames, or steps of its first sample.

    `context`: what a checkpoint's caches are laid out for; as `map` does without being asked if None.

    A mapped folder keeps the numbers it was mapped with. Raises a SpikesimError for whatever the user can put right.
    """
    if takes_samples(model):
        request = InputRequest(max_samples=tokens, text=text, seed=seed)
    else:
        request = InputRequest(max_tokens=tokens, sequence_length=tokens, text=text, seed=seed)
    with _mapped(model, hardware, request, context, progress) as folder:
        return mapped_job(folder, hardware, tokens=tokens, text=text if folder == model else None)


def mapped_job(folder: Path, hardware: HardwareConfig, *, tokens: int, text: Path | None = None) -> Job:
    """All programs of a mapped folder, and the first `tokens` items of its input, or of `text`; of a network with state
    as many whole samples as they are, or the beginning of the first.

    Raises CapacityError for more tokens than the programs keep keys and values for.
    """
    compiled = open_compiled(folder)
    request = InputRequest(text=text)
    if not compiled.takes_samples:
        request = replace(request, max_tokens=tokens, sequence_length=None if text is None else tokens)
    run = mapped_tokens(compiled, request)
    sequence = one_sequence(run, tokens)
    compiled.check_steps(len(sequence))
    several = None
    if compiled.text.model.item == "step" and tokens > run.ids.shape[1]:
        several = compiled.words(run.ids[: tokens // run.ids.shape[1]])
    return Job(
        chain=compiled.chain(),
        words=compiled.words(sequence),
        hardware=hardware.model_copy(update={"numerics": compiled.text.hardware.numerics}),
        kinds={block.program: block.kind for block in compiled.text.blocks},
        item=compiled.text.model.item,
        sequences=several,
    )


def self_test_job(hardware: HardwareConfig, tokens: int = 4) -> Job:
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
        inputs=(_plain("h", SELF_TEST_CHANNELS),),
        outputs=(_plain("out", SELF_TEST_OUTPUTS),),
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
    return Job(chain=series([program]), words=words, hardware=hardware)


def _plain(name: str, words: int) -> Port:
    return Port(name=name, format=Format(fraction=0), shape=(words,))
