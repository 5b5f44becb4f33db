"""Where tokens come from: text, token files, or a random generator; and how they become sequences."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from spikesim.errors import TokenError
from spikesim.results.report import InputKind
from spikesim.support.array_files import write_npy
from spikesim.support.files import write_json_atomic

BYTE_VOCABULARY = 256
"""A model of this vocabulary without a tokenizer reads bytes."""

TOKENIZER_FILE = "tokenizer.json"
HELD_OUT_FILE = "heldout.txt"
CALIBRATION_FILE = "calibration.txt"
"""Files beside a checkpoint that are used when the command line names none."""

TOKENS_FILE = "tokens.npy"
ORIGIN_FILE = "tokens.json"

DEFAULT_SEQUENCE = 256
DEFAULT_RANDOM_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class InputRequest:
    """What a user asks to run: a token file, a text or random tokens, at most one of them; and how it is cut.

    `sequence_length`: tokens per sequence; `max_tokens`: tokens in all, at most; `seed`: of random tokens.
    """

    tokens: Path | None = None
    text: Path | None = None
    random_tokens: int | None = None
    sequence_length: int | None = None
    max_tokens: int | None = None
    seed: int = 0

    @property
    def names_input(self) -> bool:
        """Whether any input is named, or the choice is left to what comes with the model."""
        return not (self.tokens is None and self.text is None and self.random_tokens is None)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """`ids`: int64[sequences, length]. `n_bytes`: bytes of the text they stand for; None if they are no text."""

    ids: NDArray[np.int64]
    kind: InputKind
    name: str = ""
    n_bytes: int | None = None
    note: str = ""
    seed: int | None = None

    @property
    def is_bytes(self) -> bool:
        """Whether a token is a byte of text, so that cross entropy is bits per byte."""
        return self.n_bytes == self.ids.size


class _Origin(BaseModel):
    """What `save_tokens` keeps of tokens beside the ids."""

    model_config = ConfigDict(extra="forbid")

    kind: InputKind
    name: str
    n_bytes: int | None
    note: str
    seed: int | None


def model_folder(model: Path) -> Path:
    """The folder in which a model's companion files lie."""
    return model if model.is_dir() else model.parent


def text_tokens(path: Path, folder: Path, vocabulary: int) -> tuple[NDArray[np.int64], int]:
    """Token ids of a text file and the bytes they stand for.

    With a tokenizer.json beside the model that is used; a model of 256 tokens without one reads bytes. Raises
    TokenError if the text is missing or empty, or there is no way to tokenise it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TokenError(f"text file {path} cannot be read: {error.strerror or error}") from None
    if not raw:
        raise TokenError(f"text file {path} must hold some text, not be empty")
    tokenizer = folder / TOKENIZER_FILE
    if tokenizer.is_file():
        return _tokenized(tokenizer, raw, path), len(raw)
    if vocabulary != BYTE_VOCABULARY:
        raise TokenError(
            f"a model of {vocabulary} tokens needs {TOKENIZER_FILE} beside it to read text; "
            "give token ids with --tokens instead"
        )
    return np.frombuffer(raw, np.uint8).astype(np.int64), len(raw)


def _tokenized(tokenizer: Path, raw: bytes, path: Path) -> NDArray[np.int64]:
    from tokenizers import Tokenizer

    try:
        text = raw.decode("utf-8")
        ids = Tokenizer.from_file(str(tokenizer)).encode(text).ids
    except UnicodeDecodeError as error:
        raise TokenError(
            f"text file {path} must be UTF-8, not hold byte 0x{raw[error.start]:02x} at {error.start}"
        ) from None
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises nothing more specific
        raise TokenError(f"{tokenizer} cannot be used: {str(error).splitlines()[0]}") from None
    return np.asarray(ids, np.int64)


def token_file(path: Path) -> NDArray[np.int64]:
    """Token ids from a .npy array of integers or a text file of numbers separated by white space or commas."""
    try:
        if path.suffix == ".npy":
            ids = np.load(path, allow_pickle=False)
        else:
            ids = np.array(
                [int(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()], np.int64
            )
    except OSError as error:
        raise TokenError(f"token file {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, OverflowError, EOFError) as error:
        raise TokenError(f"token file {path} must hold whole numbers: {str(error).splitlines()[0]}") from None
    if not np.issubdtype(ids.dtype, np.integer) or ids.size == 0:
        raise TokenError(f"token file {path} must hold at least one whole number")
    flat: NDArray[np.int64] = ids.astype(np.int64).reshape(-1)
    return flat


def sequences(ids: NDArray[np.int64], length: int, limit: int | None) -> NDArray[np.int64]:
    """ids[n] cut into sequences of `length`: int64[sequences, length].

    A last, shorter part is dropped, unless it is all. `limit`: tokens to use at most.
    """
    if limit is not None:
        ids = ids[:limit]
    if ids.size < length:
        return ids[None]
    return ids[: ids.size // length * length].reshape(-1, length)


def check_vocabulary(ids: NDArray[np.int64], vocabulary: int, name: str) -> None:
    """Raises TokenError if a token lies outside the vocabulary."""
    wrong = ids[(ids < 0) | (ids >= vocabulary)]
    if wrong.size:
        raise TokenError(f"tokens of {name} must be in 0 … {vocabulary - 1}, not {wrong[0]}")


def random_tokens(vocabulary: int, count: int, length: int, seed: int) -> Tokens:
    """Uniformly random tokens, for models that come without text."""
    ids = np.random.default_rng(seed).integers(0, vocabulary, max(count, 1))
    return Tokens(
        ids=sequences(ids, min(length, ids.size), None),
        kind="random tokens",
        seed=seed,
        note="Tokens were drawn at random: fidelity and sparsity below come from random tokens, not from text "
        "the model was trained on, and will differ on real text.",
    )


def evaluation_tokens(request: InputRequest, model: Path, vocabulary: int, longest: int) -> Tokens:
    """The tokens to run: a token file, a text, the model's own held-out text, or random ones, in this order.

    `longest`: tokens per sequence at most, unless the request asks for more.
    """
    folder = model_folder(model)
    length = request.sequence_length or min(DEFAULT_SEQUENCE, longest)
    if request.tokens is not None:
        ids = token_file(request.tokens)
        check_vocabulary(ids, vocabulary, str(request.tokens))
        used = sequences(ids, length, request.max_tokens)
        return Tokens(ids=used, kind="tokens", name=str(request.tokens))
    held_out = folder / HELD_OUT_FILE
    text = request.text
    if text is None and request.random_tokens is None and held_out.is_file():
        text = held_out
    if text is None:
        count = request.random_tokens or DEFAULT_RANDOM_TOKENS
        return random_tokens(vocabulary, min(count, request.max_tokens or count), length, request.seed)
    ids, n_bytes = text_tokens(text, folder, vocabulary)
    check_vocabulary(ids, vocabulary, str(text))
    used = sequences(ids, length, request.max_tokens)
    kind: InputKind = "held-out text" if text == held_out else "text"
    return Tokens(ids=used, kind=kind, name=text.name, n_bytes=round(n_bytes * used.size / ids.size))


def calibration_tokens(
    model: Path, vocabulary: int, given: Path | None, evaluation: Tokens
) -> tuple[NDArray[np.int64] | None, str]:
    """Tokens that set the ranges of activations, None for the evaluated ones; and a sentence about them."""
    folder = model_folder(model)
    path = given or folder / CALIBRATION_FILE
    if given is None and (evaluation.kind == "random tokens" or not path.is_file()):
        return None, "ranges from the evaluated tokens themselves"
    if path.suffix == ".npy":
        ids = token_file(path)
    else:
        ids, _ = text_tokens(path, folder, vocabulary)
    check_vocabulary(ids, vocabulary, str(path))
    return sequences(ids, evaluation.ids.shape[1], None), f"ranges from {path.name}, {ids.size} tokens"


def save_tokens(tokens: Tokens, folder: Path) -> None:
    """Writes the tokens and where they come from into a mapping, so that it can be simulated again on the same."""
    write_npy(folder / TOKENS_FILE, tokens.ids)
    origin = {name: value for name, value in vars(tokens).items() if name != "ids"}
    write_json_atomic(folder / ORIGIN_FILE, origin)


def load_tokens(folder: Path, request: InputRequest, vocabulary: int) -> Tokens:
    """The tokens a mapping was made with, cut anew if asked. Raises TokenError if they are missing or damaged."""
    try:
        ids = np.load(folder / TOKENS_FILE, allow_pickle=False)
        origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        tokens = Tokens(ids=ids, **dict(_Origin.model_validate(origin)))
    except ValidationError as error:
        first = error.errors()[0]
        raise TokenError(
            f"{ORIGIN_FILE} in {folder} must say where its tokens come from: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise TokenError(
            f"the tokens in {folder} cannot be read ({reason}); name others with --tokens"
        ) from None
    if not isinstance(ids, np.ndarray) or ids.dtype != np.int64 or ids.ndim != 2 or ids.size == 0:
        kind = f"{ids.dtype}{list(ids.shape)}" if isinstance(ids, np.ndarray) else "an archive"
        raise TokenError(f"{TOKENS_FILE} in {folder} must be int64[sequences, tokens], not {kind}")
    check_vocabulary(ids, vocabulary, str(folder))
    if request.sequence_length is None and request.max_tokens is None:
        return tokens
    # Bytes per token are kept as they were on average.
    used = sequences(ids.reshape(-1), request.sequence_length or ids.shape[1], request.max_tokens)
    n_bytes = None if tokens.n_bytes is None else round(tokens.n_bytes * used.size / ids.size)
    return replace(tokens, ids=used, n_bytes=n_bytes)


def targets(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[sequences, length]: each token's successor, −1 for the last of a sequence."""
    following = np.full(ids.shape, -1, np.int64)
    following[:, :-1] = ids[:, 1:]
    return following
