"""The whole chain for one model: load, calibrate, quantise, compile, place, simulate; layer by layer, in one pass.

Networks that take samples go the way of `spikesim.run.network`; what follows here is of language models.

Two residual streams walk through the model side by side: the float model's and the integer model's. A layer's float
weights exist only while its turn lasts, its INT8 weights until they are written, so that a model larger than memory can
be mapped.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikesim.errors import CapacityError, CheckpointError, GraphError, HardwareError, OutputError, TokenError
from spikesim.golden.frame import Words
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.frontend import DSSAFrontEnd
from spikesim.mapping.frontend import FrontEnd, OpenedModel, OpenedNetwork, Reference
from spikesim.mapping.graph.frontend import GraphFrontEnd
from spikesim.program import Port, result_of
from spikesim.program.compiled import PROGRAM_FOLDER, Block, TextRule, open_compiled, write_table
from spikesim.program.verifier import verify_for
from spikesim.results.report import LayerCosine, Report
from spikesim.run.fidelity import Cosines, Score
from spikesim.run.network import map_network, simulate_network
from spikesim.run.runner import Runner, Stopwatch
from spikesim.run.sample_files import SampleArrays, sample_arrays
from spikesim.run.saved_tokens import mapped_tokens, save_tokens
from spikesim.run.session import Session, Take
from spikesim.run.summary import summarise_run
from spikesim.run.texts import model_reader, save_tokenizer
from spikesim.run.tokens import (
    CALIBRATION_FILE,
    DEFAULT_SEQUENCE,
    HELD_OUT_FILE,
    InputRequest,
    beside,
    calibration_tokens,
    evaluation_tokens,
    for_tokens,
    model_folder,
    targets,
)
from spikesim.run.written import finish_mapping, stream_fraction
from spikesim.support.arguments import as_path, of_type
from spikesim.support.files import write_bytes_atomic
from spikesim.support.progress import SILENT, Progress
from spikesim.support.shown import shown

__all__ = ["map_model", "map_module", "open_model", "open_network", "simulate_mapping", "takes_samples"]

NETWORKS: tuple[FrontEnd[OpenedNetwork], ...] = (GraphFrontEnd(),)
"""Of networks that take samples; the first that accepts a path opens it."""

FRONT_ENDS: tuple[FrontEnd[OpenedModel], ...] = (DSSAFrontEnd(),)
"""Of models that take tokens: the first that accepts a path opens it, if none of `NETWORKS` does."""

DEFAULT_REQUEST = InputRequest()
"""The model's own held-out text, or random tokens if it has none."""


def open_model(path: Path) -> OpenedModel:
    """Opens a model that takes tokens. Raises a SpikesimError for one that cannot be used."""
    return next(front_end for front_end in FRONT_ENDS if front_end.accepts(path)).open(path)


def takes_samples(path: Path) -> bool:
    """Whether a path is that of a network that takes samples, not of a language model."""
    return any(front_end.accepts(path) for front_end in NETWORKS)


def open_network(path: Path) -> OpenedNetwork:
    """Opens a network for which `takes_samples`. Raises a SpikesimError for one that cannot be used."""
    return next(front_end for front_end in NETWORKS if front_end.accepts(path)).open(path)


def map_model(
    model: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    hardware: HardwareConfig,
    request: InputRequest = DEFAULT_REQUEST,
    calibration: str | os.PathLike[str] | SampleArrays | None = None,
    context: int | None = None,
    cached: int = 0,
    command: str = "",
    progress: Progress = SILENT,
) -> Report:
    """Maps a model onto the hardware and simulates it; writes the mapping into `output`, which exists and holds none.

    `calibration`: a text, or samples of a network, that set the ranges of activations. Of a language model alone:
    `context`: the longest sequence, in tokens, that the mapping is for, `cached` ones included; its caches and score
    vectors have room for that, and its `limits.max_context` says so. The longest of this run if None. `cached`: see
    `Runner`. Raises a SpikesimError for whatever the user can put right.
    """
    model = as_path(model, "a model", CheckpointError)
    output = _free_folder(as_path(output, "output", OutputError))
    if calibration is not None and not isinstance(calibration, SampleArrays):
        calibration = as_path(calibration, "a calibration text", TokenError)
    _check_given(hardware, request, command, progress)
    _check_cached(cached)
    if takes_samples(model):
        _refuse_cache_settings(context, cached)
        stopwatch = Stopwatch()
        with stopwatch.stage("load"):
            network = open_network(model)
        return map_network(
            network,
            output=output,
            hardware=hardware,
            request=request,
            calibration=calibration,
            stopwatch=stopwatch,
            command=command,
            progress=progress,
        )
    if isinstance(calibration, SampleArrays):
        raise TokenError("calibration must be a text or token ids for a language model, not samples")
    for_tokens(request)
    return _map_tokens(
        model,
        output=output,
        hardware=hardware,
        request=request,
        calibration=calibration,
        context=context,
        cached=cached,
        command=command,
        progress=progress,
    )


def _map_tokens(
    model: Path,
    *,
    output: Path,
    hardware: HardwareConfig,
    request: InputRequest,
    calibration: Path | None,
    context: int | None,
    cached: int,
    command: str,
    progress: Progress,
) -> Report:
    """`map_model` of a language model."""
    stopwatch = Stopwatch()
    folder = output / PROGRAM_FOLDER
    with stopwatch.stage("load"), torch.no_grad():
        opened = open_model(model)
        summary, items = opened.summary, opened.host.items
        reader = model_reader(model_folder(model), items)
        length = request.sequence_length or min(DEFAULT_SEQUENCE, hardware.limits.max_context)
        run = evaluation_tokens(request, reader, beside(model, HELD_OUT_FILE), length=length)
        opened.check()
        hardware = _for_context(hardware, context, cached + run.ids.shape[1])
        examples = calibration_tokens(calibration, beside(model, CALIBRATION_FILE), reader, run)
        folder.mkdir()
        table = opened.table()
        write_table(folder, table)
        session = Session(opened.links, table[run.ids.T].astype(np.int32))
        del table
    runner = Runner(hardware, session, run.ids.size, stopwatch, folder, cached)
    score, following = Score(), torch.from_numpy(targets(run).T)
    scored = bool((following >= 0).any())
    blocks: list[Block] = []
    cosines: list[LayerCosine] = []
    with torch.no_grad(), progress.stage("layers", len(summary.layer_kinds) + 2) as advance:
        for lowered in opened.lower(run.ids, examples.ids, hardware, stopwatch.stage):
            program, block, reference = lowered.program, lowered.block, lowered.reference
            port, found = program.text.outputs[0], Cosines()
            if opened.output == result_of(program.text):
                take: Take | None = _scored(score, following, port, reference)
            else:
                take = None if reference is None else _compared(found, port, reference)
            runner.run(program, block, take)
            if block.layer is not None and reference is not None and scored:
                cosines.append(found.layer(block.layer, block.kind))
            blocks.append(block)
            advance()
    save_tokens(run, examples, folder)
    reading = TextRule(
        reads=reader.reads,
        tokenizer_sha256=save_tokenizer(reader, folder),
        sequence_length=length,
        text=run.origin.name,
        calibration=examples.name,
    )
    compiled = finish_mapping(
        output, opened, runner, blocks, host=opened.host, reading=reading, command=command
    )
    fidelity = score.fidelity(is_bytes=run.is_bytes)
    fidelity = fidelity.model_copy(update={"layer_cosine": tuple(cosines)})
    settings = {"calibration": examples.note, "stream_fraction": stream_fraction(compiled)}
    return summarise_run(summary, run, fidelity, runner, settings, command)


def map_module(
    module: torch.nn.Module,
    example_input: torch.Tensor,
    *,
    output: str | os.PathLike[str],
    hardware: HardwareConfig | None = None,
    samples: Any = None,
    labels: Any = None,
    calibration: Any = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Report:
    """Exports a module as a network, maps and simulates it as `map_model` does, and leaves the export in `output`.

    `example_input`: a batch, as the module takes it. `samples`, `calibration`: arrays or tensors [samples, …], or paths
    of files as `--samples` takes them; `labels`: integers[samples], the classes of samples that are arrays. Without
    samples random ones run.
    """
    from spikesim.mapping.graph.torch_export import export_module

    output = _free_folder(as_path(output, "output", OutputError))
    if not isinstance(module, torch.nn.Module):
        raise GraphError(f"module must be a torch.nn.Module, not {shown(module)}")
    if not isinstance(example_input, torch.Tensor):
        raise GraphError(f"example_input must be a tensor, not {shown(example_input)}")
    if labels is not None and (samples is None or isinstance(samples, str | os.PathLike)):
        raise TokenError("labels must come with samples that are arrays")
    given, ranges = _samples(samples, labels), _samples(calibration, None)
    path = output / f"{type(module).__name__}.pt2"
    content = io.BytesIO()
    torch.export.save(export_module(module, example_input), content)
    write_bytes_atomic(path, content.getvalue())
    return map_model(
        path,
        output=output,
        hardware=HardwareConfig() if hardware is None else hardware,
        request=InputRequest(samples=given, seed=seed),
        calibration=ranges,
        progress=progress,
    )


def _samples(given: Any, labels: Any) -> Path | SampleArrays | None:
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        return as_path(given, "samples", TokenError)
    return sample_arrays(given, labels)


def simulate_mapping(
    folder: str | os.PathLike[str],
    *,
    hardware: HardwareConfig | None = None,
    request: InputRequest = DEFAULT_REQUEST,
    cached: int = 0,
    command: str = "",
    progress: Progress = SILENT,
) -> Report:
    """Runs a mapped model again, from the programs in `folder`: on the same input or another, on another array.

    `hardware` may change what changes cycles; the numerics are part of the programs and stay as they were mapped.
    `cached`: see `Runner`.
    """
    _check_cached(cached)
    folder = as_path(folder, "a mapping", CheckpointError)
    _check_given(HardwareConfig() if hardware is None else hardware, request, command, progress)
    compiled = open_compiled(folder)
    text, summary = compiled.text, compiled.text.model
    mapped = text.hardware
    hardware = mapped if hardware is None else hardware.model_copy(update={"numerics": mapped.numerics})
    if compiled.takes_samples:
        _refuse_cache_settings(None, cached)
        return simulate_network(
            compiled, hardware=hardware, request=request, command=command, progress=progress
        )
    verify_for(compiled.texts, hardware)
    run = mapped_tokens(compiled, request)
    compiled.check_steps(cached + run.ids.shape[1])
    stopwatch = Stopwatch()
    session = Session(text.links, compiled.words(run.ids.T))
    runner = Runner(hardware, session, run.ids.size, stopwatch, None, cached)
    score, following = Score(), torch.from_numpy(targets(run).T)
    with progress.stage("layers", len(text.programs)) as advance:
        for name in text.programs:
            with stopwatch.stage("load"):
                program = compiled.program(name)
            is_last = name == text.output.program
            take = _scored(score, following, compiled.result, None) if is_last else None
            runner.run(program, compiled.block(name), take)
            advance()
    runner.finished()
    fidelity = score.fidelity(is_bytes=run.is_bytes)
    return summarise_run(summary, run, fidelity, runner, {"mapped in": str(folder)}, command)


def _free_folder(path: Path) -> Path:
    """The folder; OutputError for one that is not there, or holds a mapping."""
    if not path.is_dir():
        raise OutputError(f"output {path} must be a folder that exists")
    if os.path.lexists(path / PROGRAM_FOLDER):
        raise OutputError(f"output folder {path} must be new, not hold {PROGRAM_FOLDER} already")
    return path


def _check_cached(cached: int) -> None:
    """Raises CapacityError for what is no number of cached tokens."""
    if type(cached) is not int or cached < 0:
        raise CapacityError(f"cached tokens must be a whole number from 0 on, not {shown(cached)}")


def _refuse_cache_settings(context: int | None, cached: int) -> None:
    """Raises CapacityError for settings that mean nothing to a network."""
    for name, given in (("--context", context is not None), ("--cached", cached)):
        if given:
            raise CapacityError(f"{name} must not be given for a network, which has no caches of tokens")


def _for_context(hardware: HardwareConfig, context: int | None, longest: int) -> HardwareConfig:
    """The hardware with the context that is asked for as its limit; `longest`: tokens of a sequence of this run.

    Raises CapacityError for a context beyond the limit of the hardware, or sequences beyond the context.
    """
    most = hardware.limits.max_context
    if context is None and longest > most:
        raise CapacityError(
            f"the sequence length must be at most limits.max_context ({most}), not {longest}; "
            "cut the sequence or raise the limit in the hardware file"
        )
    if context is None:
        context = longest
    if type(context) is not int or not 1 <= context <= most:
        raise CapacityError(
            f"the context must be a whole number from 1 to limits.max_context ({most}), not {shown(context)}"
        )
    if longest > context:
        raise CapacityError(
            f"the sequence length must be at most the context ({context}), not {longest}; "
            "cut the sequence or ask for more context"
        )
    return hardware.replace(**{"limits.max_context": context})


def _check_given(hardware: object, request: object, command: object, progress: object) -> None:
    of_type(hardware, HardwareConfig, "hardware", HardwareError)
    of_type(request, InputRequest, "request", TokenError)
    of_type(command, str, "command", OutputError)
    if not callable(getattr(progress, "stage", None)):
        raise OutputError(
            f"progress must have a method stage, as {Progress.__name__} has, not {shown(progress)}"
        )


def _scored(score: Score, following: torch.Tensor, port: Port, reference: Reference | None) -> Take:
    """Adds the result of some steps to a score; `following`: int64[steps, sequences], the items to be predicted."""

    def take(steps: slice, words: Words) -> None:
        known = None if reference is None else reference(steps).flatten(0, 1)
        score.add(known, _real(words, port).flatten(0, 1), following[steps].flatten())

    return take


def _compared(found: Cosines, port: Port, reference: Reference) -> Take:
    """Adds the cosines between a program's output and the float model's, of some steps."""

    def take(steps: slice, words: Words) -> None:
        found.add(reference(steps), _real(words, port))

    return take


def _real(words: Words, port: Port) -> torch.Tensor:
    """int32[steps, sequences, words] -> float32, by the format of its port."""
    return torch.from_numpy(words).float().mul_(2.0**-port.format.fraction)
