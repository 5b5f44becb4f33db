"""What runs: text, token files, or random tokens; how they become sequences, and what a reader must know of them."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from spikesim.errors import TokenError
from spikesim.results.report import InputKind
from spikesim.run.sample_files import SampleArrays
from spikesim.run.texts import TextReader, TextTokens
from spikesim.run.token_files import token_file
from spikesim.support.npy import is_npy
from spikesim.support.shown import shown, unicode_name

HELD_OUT_FILE = "heldout.txt"
CALIBRATION_FILE = "calibration.txt"
"""Files beside a checkpoint that are used when the command line names none."""

DEFAULT_SEQUENCE = 256
DEFAULT_RANDOM_TOKENS = 256
MOST_RANDOM_TOKENS = 10**8


@dataclass(frozen=True, kw_only=True)
class InputRequest:
    """What a user asks to run: a token file, a text or random tokens, at most one, and how it is cut; or samples.

    `sequence_length`: tokens per sequence; `max_tokens`: tokens in all, at most; `samples`, `max_samples`: of a network
    that takes samples; `seed`: of what is drawn at random. Raises TokenError for a number that is none of these.
    """

    tokens: Path | None = None
    text: Path | None = None
    random_tokens: int | None = None
    sequence_length: int | None = None
    max_tokens: int | None = None
    samples: Path | SampleArrays | None = None
    max_samples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.tokens, self.text, self.random_tokens)) > 1:
            raise TokenError("input must be one of tokens, text and random tokens, not several")
        if self.samples is not None and not isinstance(self.samples, Path | SampleArrays):
            raise TokenError(f"samples must be a path or SampleArrays, not {shown(self.samples)}")
        most = {"random_tokens": MOST_RANDOM_TOKENS, "seed": 2**63}
        for name in ("random_tokens", "sequence_length", "max_tokens", "max_samples", "seed"):
            value, least = getattr(self, name), int(name != "seed")
            limit = most.get(name)
            if value is None and name != "seed":
                continue
            try:
                number = operator.index(value)
            except TypeError:
                number = -1
            if isinstance(value, bool) or number < least or (limit is not None and number > limit):
                rule = f"{least} or more" if limit is None else f"in {least} … {limit}"
                raise TokenError(f"{name} must be a whole number, {rule}, not {shown(value)}")
            object.__setattr__(self, name, number)

    @property
    def names_input(self) -> bool:
        """Whether any input is named, or the choice is left to what comes with the model."""
        return not (self.tokens is None and self.text is None and self.random_tokens is None)

    def refuse(self, names: Sequence[str], why: str) -> None:
        """Raises TokenError, with the reason, for the first of these settings that was given."""
        for name in names:
            if getattr(self, name) is not None:
                raise TokenError(f"--{name.replace('_', '-')} must not be given for {why}")


TOKEN_SETTINGS = ("tokens", "text", "random_tokens", "sequence_length", "max_tokens")
"""Of a request, those that mean nothing to a network that takes samples."""

SAMPLE_SETTINGS = ("samples", "max_samples")
"""Those that mean nothing to a language model."""


def for_tokens(request: InputRequest) -> None:
    """Raises TokenError for settings of a request that only a network has a meaning for."""
    request.refuse(SAMPLE_SETTINGS, "a language model, which runs tokens")


def for_samples(request: InputRequest) -> None:
    """Raises TokenError for settings of a request that only a language model has a meaning for."""
    request.refuse(TOKEN_SETTINGS, "a network, which runs samples")


class Origin(BaseModel):
    """Where tokens come from, and what else is known of them; a mapping keeps it beside the ids.

    * `is_rows`: the file says where sequences begin, so that they are neither joined nor cut anew.
    * `lines`: of a file of numbers, those that hold several.
    * `n_bytes`: bytes of the text that the tokens stand for; `is_bytes`: each token is one.
    * `special`: places and names of the special tokens that a tokenizer added; None without a tokenizer.
    * `unknown`: the token of text that has none, id and name; `unread`: characters of the whole text in no token.
    * `left_out`: tokens at the end that fill no sequence.
    * `samples`: how many ran, of a network; `saturated`: their numbers that are beyond the format of what comes in,
      None if not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: InputKind
    name: str = ""
    seed: int | None = None
    is_rows: bool = False
    lines: int = Field(default=0, ge=0)
    n_bytes: int | None = Field(default=None, ge=0)
    is_bytes: bool = False
    special: dict[int, str] | None = None
    unknown: tuple[int, str] | None = None
    unread: int = Field(default=0, ge=0)
    left_out: int = Field(default=0, ge=0)
    samples: int | None = Field(default=None, ge=0)
    saturated: int | None = Field(default=None, ge=0)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """`ids`: int64[sequences, length], and where they come from.

    Of a network, ids are rows of words: of the host's table, or of `table`, int32[rows, words], if others run.
    `labels`: int64[samples], their classes, if known.
    """

    ids: NDArray[np.int64]
    origin: Origin
    table: NDArray[np.int32] | None = None
    labels: NDArray[np.int64] | None = None

    @property
    def is_bytes(self) -> bool:
        """Whether a token is a byte of text, so that cross entropy is bits per byte."""
        return self.origin.is_bytes

    @property
    def unknown(self) -> int:
        """Tokens that stand for text which the tokenizer has no token for."""
        return 0 if self.origin.unknown is None else int((self.ids == self.origin.unknown[0]).sum())

    @property
    def special_tokens(self) -> str:
        """The special tokens that were added, in words; "" if the tokens do not come from a tokenizer."""
        special = self.origin.special
        if special is None:
            return ""
        if not special:
            return "none"
        first = [_plain(name) for place, name in special.items() if place < len(special)]
        last = [_plain(name) for place, name in special.items() if place >= len(special)]
        sides = [f"{', '.join(names)} {side}" for names, side in ((first, "first"), (last, "last")) if names]
        return f"{', '.join(sides)}, {len(special)} of {self.ids.size:,}, not predicted"

    @property
    def note(self) -> str:
        """What a reader must know before believing a figure, or ""."""
        origin, notes = self.origin, []
        if origin.kind == "random tokens":
            notes.append(
                "Tokens were drawn at random: fidelity and sparsity below come from random tokens, not from text "
                "the model was trained on, and will differ on real text."
            )
        if origin.kind == "random samples":
            notes.append(
                "Samples were drawn at random: fidelity, sparsity and cycles below come from random numbers, not from "
                "data that the network was trained for, and will differ on real data; give samples with --samples."
            )
        if origin.saturated:
            notes.append(
                f"{origin.saturated:,} numbers of the samples are beyond the range of the input words and were cut: "
                "calibrate on samples that reach as far."
            )
        if origin.lines > 1:
            notes.append(
                f"The {origin.lines:,} lines of {origin.name} are one run of tokens; the rows of a .npy file are "
                "sequences, lines are not."
            )
        if origin.unread:
            notes.append(
                f"The tokenizer leaves {origin.unread:,} characters of {origin.name} out, white space not counted."
            )
        if self.unknown and origin.unknown is not None:
            share = 100 * self.unknown / self.ids.size
            notes.append(
                f"{self.unknown:,} of {self.ids.size:,} tokens ({share:.2g} %) are {_plain(origin.unknown[1])}: the "
                "tokenizer has none for that text."
            )
        if origin.left_out:
            total = self.ids.size + origin.left_out
            notes.append(
                f"The last {origin.left_out:,} of {total:,} tokens fill no sequence of {self.ids.shape[1]:,} and did "
                "not run."
            )
        return " ".join(notes)


class Cut(NamedTuple):
    """`ids`: int64[sequences, length]; `left_out`: tokens at the end that fill no sequence."""

    ids: NDArray[np.int64]
    left_out: int = 0


def cut(ids: NDArray[np.int64], length: int, limit: int | None) -> Cut:
    """ids[n] cut into sequences of `length`, the last, shorter part left out unless it is all.

    `limit`: tokens to use at most.
    """
    ids = ids[:limit]
    if ids.size < length:
        return Cut(ids[None])
    used = ids.size // length * length
    return Cut(ids[:used].reshape(-1, length), ids.size - used)


def whole_rows(ids: NDArray[np.int64], length: int | None, limit: int | None, name: str) -> Cut:
    """ids[sequences, tokens] as they stand, as many as are within `limit` tokens, or the beginning of the first.

    Raises TokenError for another `length`: cutting sequences anew would join what is apart.
    """
    own = ids.shape[1]
    if length is not None and length != own:
        raise TokenError(
            f"sequence length must be {own}, as that of the sequences in {name}, or not be given, not {length}"
        )
    if limit is None or limit >= ids.size:
        return Cut(ids)
    if limit < own:
        return Cut(ids[:1, :limit])
    return Cut(ids[: limit // own], limit % own)


def random_tokens(vocabulary: int, count: int, length: int, seed: int) -> Tokens:
    """Uniformly random tokens, for models that come without text."""
    ids = np.random.default_rng(seed).integers(0, vocabulary, max(count, 1))
    used = cut(ids, min(length, ids.size), None)
    return Tokens(ids=used.ids, origin=Origin(kind="random tokens", seed=seed, left_out=used.left_out))


def evaluation_tokens(
    request: InputRequest, reader: TextReader, held_out: Path | None, *, length: int
) -> Tokens:
    """The tokens to run: a token file, a text, held-out text, or random ones, in this order.

    `length`: tokens per sequence, unless the request asks for another.
    """
    limit, vocabulary = request.max_tokens, reader.vocabulary
    if request.tokens is not None:
        return _file_tokens(request.tokens, vocabulary, request, length)
    length = request.sequence_length or length
    text = request.text
    if text is None and request.random_tokens is None:
        text = held_out
    if text is None:
        count = request.random_tokens or DEFAULT_RANDOM_TOKENS
        return random_tokens(vocabulary, min(count, limit or count), length, request.seed)
    found = reader.read(text)
    used = cut(found.ids, length, limit)
    return Tokens(
        ids=used.ids,
        origin=Origin(
            kind="held-out text" if text == held_out else "text",
            name=unicode_name(text.name),
            n_bytes=found.n_bytes(used.ids.size),
            is_bytes=found.is_bytes,
            special=None if found.is_bytes else _added(found, used.ids.size),
            unknown=found.unknown and (found.unknown[0], _plain(found.unknown[1])),
            unread=found.unread,
            left_out=used.left_out,
        ),
    )


def _file_tokens(path: Path, vocabulary: int, request: InputRequest, length: int) -> Tokens:
    ids, lines = token_file(path, vocabulary)
    is_rows = ids.ndim == 2
    if is_rows:
        used = whole_rows(ids, request.sequence_length, request.max_tokens, str(path))
    else:
        used = cut(ids, request.sequence_length or length, request.max_tokens)
    origin = Origin(
        kind="tokens", name=unicode_name(path), is_rows=is_rows, lines=lines, left_out=used.left_out
    )
    return Tokens(ids=used.ids, origin=origin)


def _added(found: TextTokens, used: int) -> dict[int, str]:
    """Places and names of the special tokens before and after a text, among the first `used` tokens."""
    last = found.ids.size - len(found.after)
    places = {place: _plain(name) for place, (_, name) in enumerate(found.before)}
    places |= {place: _plain(name) for place, (_, name) in enumerate(found.after, last)}
    return {place: name for place, name in places.items() if place < used}


class Calibration(NamedTuple):
    """`ids`: int64[sequences, length] that set the ranges of activations, None for the evaluated ones.

    `name`: of the file, or ""; `note`: a sentence about them.
    """

    ids: NDArray[np.int64] | None
    name: str
    note: str


def calibration_tokens(
    given: Path | None, beside: Path | None, reader: TextReader, evaluation: Tokens
) -> Calibration:
    """Tokens that set the ranges of activations: of the file given, or of that beside the model.

    An array is token ids, as with `--tokens`; anything else is text.
    """
    path = given or beside
    if path is None or (given is None and evaluation.origin.kind == "random tokens"):
        return Calibration(None, "", "ranges from the evaluated tokens themselves")
    if path.suffix == ".npy" or is_npy(path, "token ids or a text", TokenError):
        ids = token_file(path, reader.vocabulary).ids
    else:
        ids = reader.read(path).ids
    used = Cut(ids) if ids.ndim == 2 else cut(ids, evaluation.ids.shape[1], None)
    name = unicode_name(path.name)
    note = f"ranges from {name}, {used.ids.size} tokens"
    return Calibration(
        used.ids, name, note + (f", the last {used.left_out} left out" if used.left_out else "")
    )


def beside(model: Path, name: str) -> Path | None:
    """A companion file of a model, in its folder; None if there is none. What is there and cannot be read is no reason
    to go on without it."""
    path = model_folder(model) / name
    return path if os.path.lexists(path) else None


def model_folder(model: Path) -> Path:
    """The folder in which a model's companion files lie."""
    return model if model.is_dir() else model.parent


def targets(tokens: Tokens) -> NDArray[np.int64]:
    """int64[sequences, length]: each token's successor; −1 for the last of a sequence and before a special one."""
    ids = tokens.ids.copy()
    ids.reshape(-1)[list(tokens.origin.special or ())] = -1
    following = np.full(ids.shape, -1, np.int64)
    following[:, :-1] = ids[:, 1:]
    return following


def _plain(name: str) -> str:
    """A token's name, which is a file's: as it stands if it is short and harmless."""
    return name if name.isprintable() and len(name) <= 40 else shown(name)
