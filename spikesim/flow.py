"""The whole chain for one model: load, calibrate, quantise, compile, place, simulate; layer by layer, in one pass.

Two residual streams walk through the model side by side: the float model's and the integer model's. A layer's float
weights exist only while its turn lasts, its INT8 weights until they are written, so that a model larger than memory can
be mapped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikesim.errors import CapacityError
from spikesim.golden.frame import Words
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.checkpoint import Checkpoint, open_checkpoint
from spikesim.mapping.dssa.compile import (
    check_mappable,
    compile_head,
    compile_layer,
    compile_position,
    embed,
    stream_fraction,
)
from spikesim.mapping.dssa.model import DSSALayer
from spikesim.mapping.dssa.norm import RMSNorm
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program import ACTIVATION_LIMIT
from spikesim.results.report import LayerCosine, Report
from spikesim.run.fidelity import Score, cosines
from spikesim.run.mapped import EMBEDDING_FILE, MAPPING_FILE, PROGRAM_FOLDER, mapped_program, read_mapping
from spikesim.run.runner import Runner, Stopwatch
from spikesim.run.summary import summarise_model, summarise_run
from spikesim.run.tokens import (
    InputRequest,
    Tokens,
    calibration_tokens,
    evaluation_tokens,
    load_tokens,
    save_tokens,
    targets,
)
from spikesim.support.files import write_json_atomic
from spikesim.support.progress import SILENT, Progress

__all__ = ["MAPPING_FILE", "PROGRAM_FOLDER", "map_model", "read_mapping", "simulate_mapping"]

DEFAULT_REQUEST = InputRequest()
"""The model's own held-out text, or random tokens if it has none."""

_FLOAT_TOKENS = 2**13
"""Tokens that run through a float layer at once."""


def map_model(
    model: Path,
    *,
    output: Path,
    hardware: HardwareConfig,
    request: InputRequest = DEFAULT_REQUEST,
    calibration: Path | None = None,
    command: str = "",
    progress: Progress = SILENT,
) -> Report:
    """Maps a checkpoint onto the hardware and simulates it; writes programs and mapping into `output`, which exists.

    Raises a SpikesimError for whatever the user can put right.
    """
    stopwatch = Stopwatch()
    with stopwatch.stage("load"):
        checkpoint = open_checkpoint(model)
        config = checkpoint.config
        run = evaluation_tokens(request, model, config.vocab_size, hardware.limits.max_context)
        check_mappable(config, run.ids.shape[1], hardware)
        examples, calibration_note = calibration_tokens(model, config.vocab_size, calibration, run)
        embedding = checkpoint.tensor("model.embeddings.weight")
        stream = stream_fraction(embedding)
        h = torch.nn.functional.embedding(torch.from_numpy(run.ids), embedding)
        # Without examples of its own, calibration watches the evaluated tokens as they pass.
        h_examples = None if examples is None else embedding[torch.from_numpy(examples)]
        words = embed(embedding, run.ids.T, stream)
        (output / PROGRAM_FOLDER).mkdir()
        _save_embedding(embedding, stream, output / PROGRAM_FOLDER / EMBEDDING_FILE)
        del embedding
    runner = Runner(hardware, run.ids.size, stopwatch, output / PROGRAM_FOLDER)
    layer_cosines = []
    with torch.no_grad(), progress.stage("layers", config.num_hidden_layers + 1) as advance:
        angles = runner.position(compile_position(config), *run.ids.shape)
        for index, kind in enumerate(config.layer_kinds):
            with stopwatch.stage("load"):
                tensors = checkpoint.layer_tensors(index)
                layer = DSSALayer.from_tensors(config, index, tensors)
            with stopwatch.stage("calibrate"):
                ranges = RangeRecorder(config.moba_chunk_size if kind == "moba" else 0)
                if h_examples is not None:
                    h_examples = _run_float(layer, h_examples, ranges)
                h = _run_float(layer, h, ranges if h_examples is None else None)
            with stopwatch.stage("quantise"):
                program = compile_layer(config, index, tensors, ranges, hardware, stream)
                del tensors, layer
            words = runner.layer(program, words, angles, index)
            mean, least = cosines(h, _as_float(words, stream))
            layer_cosines.append(LayerCosine(layer=index, kind=kind, cosine=mean, minimum=least))
            advance()
        score = _score_head(checkpoint, runner, h, words, run, stream)
        advance()
    summary = summarise_model(model, checkpoint)
    save_tokens(run, output / PROGRAM_FOLDER)
    write_json_atomic(
        output / MAPPING_FILE,
        {
            "model": summary.model_dump(mode="json"),
            "hardware": hardware.model_dump(mode="json"),
            "stream_fraction": stream,
            "programs": [vars(placement) for placement in runner.placer.finished()],
        },
    )
    fidelity = score.fidelity(is_bytes=run.is_bytes, has_float=True)
    fidelity = fidelity.model_copy(update={"layer_cosine": tuple(layer_cosines)})
    settings = {"calibration": calibration_note, "stream_fraction": stream}
    return summarise_run(summary, run, fidelity, runner, settings, command)


def simulate_mapping(
    folder: Path,
    *,
    hardware: HardwareConfig | None = None,
    request: InputRequest = DEFAULT_REQUEST,
    command: str = "",
    progress: Progress = SILENT,
) -> Report:
    """Runs a mapped model again, from the programs in `folder`: on the same tokens or others, on another array.

    `hardware` may change what changes cycles; the numerics are part of the programs and stay as they were mapped.
    """
    summary, mapped, table = read_mapping(folder)
    hardware = mapped if hardware is None else hardware.model_copy(update={"numerics": mapped.numerics})
    if request.names_input:
        run = evaluation_tokens(request, folder, summary.vocab_size, mapped.limits.max_context)
    else:
        run = load_tokens(folder / PROGRAM_FOLDER, request, summary.vocab_size)
    if run.ids.shape[1] > mapped.limits.max_context:
        raise CapacityError(
            f"sequences must be at most {mapped.limits.max_context} tokens, for which the programs were compiled, "
            f"not {run.ids.shape[1]}"
        )
    stopwatch = Stopwatch()
    runner = Runner(hardware, run.ids.size, stopwatch, None)
    words = table[run.ids.T].astype(np.int32)
    score, following = Score(), torch.from_numpy(targets(run.ids).T.reshape(-1))
    with progress.stage("layers", len(summary.layer_kinds) + 1) as advance:
        angles = runner.position(mapped_program(folder, "position", summary), *run.ids.shape)
        for index in range(len(summary.layer_kinds)):
            with stopwatch.stage("load"):
                program = mapped_program(folder, f"layer_{index:02d}", summary)
            words = runner.layer(program, words, angles, index)
            advance()
        runner.head(
            mapped_program(folder, "head", summary),
            words,
            lambda rows, logits: score.add(None, logits, following[rows]),
        )
        advance()
    fidelity = score.fidelity(is_bytes=run.is_bytes, has_float=False)
    return summarise_run(summary, run, fidelity, runner, {"mapped in": str(folder)}, command)


def _score_head(
    checkpoint: Checkpoint, runner: Runner, h: torch.Tensor, words: Words, run: Tokens, stream: int
) -> Score:
    """Runs the head on both streams and scores their logits."""
    config = checkpoint.config
    with runner.stopwatch.stage("load"):
        norm = RMSNorm(config.hidden_size, config.norm_eps)
        norm.weight.copy_(checkpoint.tensor("model.norm.weight"))
        tied = config.tie_word_embeddings
        weight = checkpoint.tensor("model.embeddings.weight" if tied else "lm_head.weight")
    with runner.stopwatch.stage("quantise"):
        program = compile_head(config, weight, norm.weight, runner.hardware, stream)
    flat = h.transpose(0, 1).flatten(0, 1)
    following = torch.from_numpy(targets(run.ids).T.reshape(-1))
    score = Score()
    runner.head(
        program,
        words,
        lambda rows, logits: score.add(norm(flat[rows]) @ weight.T, logits, following[rows]),
    )
    return score


def _run_float(layer: DSSALayer, h: torch.Tensor, ranges: RangeRecorder | None) -> torch.Tensor:
    """One float layer on h: float32[sequences, tokens, hidden], some sequences at a time."""
    positions = torch.arange(h.shape[1])
    parts = torch.split(h, max(1, _FLOAT_TOKENS // h.shape[1]))
    return torch.cat([layer(part, positions, tap=ranges) for part in parts])


def _as_float(words: Words, stream: int) -> torch.Tensor:
    """int32[tokens, sequences, hidden] -> float32[sequences, tokens, hidden]."""
    return torch.from_numpy(words).float().mul_(2.0**-stream).transpose(0, 1)


def _save_embedding(embedding: torch.Tensor, stream: int, path: Path) -> None:
    """The host's look-up table, int[vocab, hidden] in the narrowest type that holds it, written in blocks."""
    largest = max(float(embedding.max()), -float(embedding.min())) * 2.0**stream
    kind = np.int16 if largest < ACTIVATION_LIMIT else np.int32
    shape = (embedding.shape[0], embedding.shape[1])
    table: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)  # type: ignore[no-untyped-call]
    for first in range(0, shape[0], _FLOAT_TOKENS):
        ids = np.arange(first, min(first + _FLOAT_TOKENS, shape[0]))
        table[first : first + ids.size] = embed(embedding, ids, stream)
    table.flush()
