"""What a mapping keeps of its input: what ran, what set ranges, and where they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from spikesim.errors import TokenError
from spikesim.program.compiled import Compiled, Samples
from spikesim.run.samples import Taken, read_samples
from spikesim.run.texts import TextReader, mapped_reader
from spikesim.run.token_files import check_vocabulary
from spikesim.run.tokens import (
    Calibration,
    InputRequest,
    Origin,
    Tokens,
    cut,
    evaluation_tokens,
    for_samples,
    for_tokens,
    whole_rows,
)
from spikesim.support.array_files import write_npy
from spikesim.support.files import write_json_atomic
from spikesim.support.npy import read_npy
from spikesim.support.reading import read_text

TOKENS_FILE = "tokens.npy"
CALIBRATION_TOKENS_FILE = "calibration.npy"
ORIGIN_FILE = "tokens.json"
LABELS_FILE = "labels.npy"

_SHAPE = "int64[sequences, tokens]"


def save_tokens(tokens: Tokens, calibration: Calibration, folder: Path) -> None:
    """Write what ran into a mapping's folder of programs, so that it can be simulated again on the same."""
    write_npy(folder / TOKENS_FILE, tokens.ids)
    if calibration.ids is not None:
        write_npy(folder / CALIBRATION_TOKENS_FILE, calibration.ids)
    write_json_atomic(folder / ORIGIN_FILE, tokens.origin.model_dump(mode="json"))
    if tokens.labels is not None:
        write_npy(folder / LABELS_FILE, tokens.labels)


def words_of(compiled: Compiled, tokens: Tokens, items: NDArray[np.int64]) -> NDArray[np.int32]:
    """items[...] of what a mapping runs -> int32[..., words], what comes in."""
    return compiled.words(items) if tokens.table is None else tokens.table[items]


def mapped_tokens(compiled: Compiled, request: InputRequest) -> Tokens:
    """The tokens that a mapping runs: those it was made with, cut anew if asked, or others that the request names.

    Text is read as the model reads it, samples as the network takes them. Raises TokenError for an input that is
    missing, damaged or no input.
    """
    if isinstance(compiled.text.host, Samples):
        return _samples(compiled, compiled.text.host, request)
    for_tokens(request)
    if not request.names_input:
        return _saved(compiled, request)
    reader = TextReader(vocabulary=compiled.text.host.items)
    if request.text is not None:
        reader = mapped_reader(compiled)
    return evaluation_tokens(request, reader, None, length=compiled.text.reading.sequence_length)


def _samples(compiled: Compiled, host: Samples, request: InputRequest) -> Tokens:
    """Samples that the request names, or those that the mapping keeps, as many as it allows."""
    for_samples(request)
    model = compiled.text.model
    taken = Taken(shape=host.shape, keeps_state=model.item == "step", classes=model.classes)
    if request.samples is not None:
        found = read_samples(request.samples, taken, request.max_samples)
        run, table = found.tokens(host, compiled.entry, keeps_state=taken.keeps_state)
        return replace(run, table=table)
    saved = _saved(compiled, request)
    saved = replace(saved, labels=_saved_labels(compiled, saved))
    limit = request.max_samples
    if limit is None or saved.origin.samples is None or limit >= saved.origin.samples:
        return saved
    ids = saved.ids[:limit] if taken.keeps_state else saved.ids[:, :limit]
    origin = saved.origin.model_copy(update={"samples": limit, "saturated": None})
    return Tokens(ids=ids, origin=origin, labels=None if saved.labels is None else saved.labels[:limit])


def _saved_labels(compiled: Compiled, saved: Tokens) -> NDArray[np.int64] | None:
    path = compiled.programs_folder / LABELS_FILE
    if not path.exists():
        return None
    what = f"the classes of {saved.origin.samples} samples"
    labels = read_npy(path, what, TokenError, kinds="iu")
    if labels.shape != (saved.origin.samples,):
        raise TokenError(f"{path} must be {what}, not {labels.dtype}{list(labels.shape)}")
    return labels.astype(np.int64)


def ranges_from(compiled: Compiled) -> NDArray[np.int64]:
    """int64[sequences, length]: the tokens that set the ranges of a mapping."""
    path = compiled.programs_folder / CALIBRATION_TOKENS_FILE
    return _ids(compiled, path if path.exists() else compiled.programs_folder / TOKENS_FILE)


def one_sequence(tokens: Tokens, count: int) -> NDArray[np.int64]:
    """int64[count or fewer]: the first tokens, of the first sequence if sequences are given and not cut."""
    return (tokens.ids[0] if tokens.origin.is_rows else tokens.ids.reshape(-1))[:count]


def _saved(compiled: Compiled, request: InputRequest) -> Tokens:
    path = compiled.programs_folder / ORIGIN_FILE
    ids = _ids(compiled, compiled.programs_folder / TOKENS_FILE)
    try:
        origin = Origin.model_validate_json(read_text(path, "a JSON file", TokenError))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise TokenError(
            f"{path} must say where its tokens come from ({f'{place}: ' if place else ''}{first['msg']})"
        ) from None
    if origin.special and not 0 <= min(origin.special) <= max(origin.special) < ids.size:
        raise TokenError(f"special tokens in {path} must be among the {ids.size} tokens, not beyond them")
    return _cut_anew(Tokens(ids=ids, origin=origin), request, str(compiled.folder))


def _cut_anew(tokens: Tokens, request: InputRequest, name: str) -> Tokens:
    ids, origin, limit = tokens.ids, tokens.origin, request.max_tokens
    if request.sequence_length is None and limit is None:
        return tokens
    if origin.is_rows:
        used = whole_rows(ids, request.sequence_length, limit, name)
    else:
        used = cut(ids.reshape(-1), request.sequence_length or ids.shape[1], limit)
    size, is_all = used.ids.size, used.ids.size == ids.size
    n_bytes = origin.n_bytes if is_all else None  # of a part only known where a token is a byte
    changes = {
        "n_bytes": size if origin.is_bytes else n_bytes,
        "left_out": used.left_out + (origin.left_out if limit is None or limit > ids.size else 0),
        "special": origin.special and {place: name for place, name in origin.special.items() if place < size},
    }
    return Tokens(ids=used.ids, origin=origin.model_copy(update=changes))


def _ids(compiled: Compiled, path: Path) -> NDArray[np.int64]:
    ids = read_npy(path, _SHAPE, TokenError, kinds="iu")
    if ids.dtype != np.int64 or ids.ndim != 2 or ids.size == 0:
        raise TokenError(f"{path} must be {_SHAPE}, not {ids.dtype}{list(ids.shape)}")
    check_vocabulary(ids, compiled.text.host.items, str(compiled.folder))
    return ids
