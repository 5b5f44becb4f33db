"""A model's `tokenizer.json`: which tokens a text becomes, whatever state the file was saved in.

Truncation, padding and random segmentation are switched off: they are settings of somebody's last call, not of the
model. The special tokens of the post-processor are added by one rule, once before and once after a text.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import TokenError, ToolError
from spikesim.run import tokenizer_worker
from spikesim.support.reading import MEBIBYTE, decoded, read_bytes, reading
from spikesim.support.shown import shown

TOKENIZER_FILE = "tokenizer.json"

LARGEST_TOKENIZER = 256 * MEBIBYTE
MOST_SPECIAL = 64
"""Special tokens that a post-processor may add to a text."""
BASE_SECONDS = 6
"""Of the processor that the library may take, whatever the text; more for a longer one."""

_WHAT = "a tokenizer.json as the tokenizers library writes it"
_STATE = ("truncation", "padding", "post_processor")
_RANDOM = ("dropout", "alpha", "nbest_size")
"""What makes the segmentation of a model random."""

Special = tuple[int, str]
"""A token's id and name."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A text as tokens.

    * `ids`: int64[tokens], special tokens included; `before`, `after`: those that the post-processor adds.
    * `ends`: int64[tokens], bytes of the text up to the end of each token.
    * `unknown`: the token that stands for whatever has none; `unread`: characters, white space apart, that are in no
      token at all.
    """

    ids: NDArray[np.int64]
    before: Sequence[Special]
    after: Sequence[Special]
    ends: NDArray[np.int64]
    unknown: Special | None
    unread: int


@dataclass(frozen=True, kw_only=True)
class TokenizerFile:
    """A `tokenizer.json`; `content` is what a mapping keeps of it."""

    path: Path
    content: bytes

    @classmethod
    def read(cls, path: Path) -> TokenizerFile:
        """Take what the file holds; it is looked at when a text is encoded. Raises TokenError."""
        return cls(path=path, content=read_bytes(path, _WHAT, TokenError, limit=LARGEST_TOKENIZER))

    def encode(self, text: str) -> Encoded:
        """The tokens of a text. Raises TokenError for a tokenizer of no use, ToolError if no process starts."""
        with reading(self.path, _WHAT, TokenError):
            settings = self._settings()
            before, after = self._special(settings.get("post_processor"))
            model = settings["model"]
            plain = {
                **settings,
                **dict.fromkeys(_STATE),
                "model": {name: value for name, value in model.items() if name not in _RANDOM},
            }
            ids, first, last = self._encoded_apart(json.dumps(plain).encode(), text.encode())
            return Encoded(
                ids=np.concatenate([_ids(before), ids, _ids(after)]),
                before=before,
                after=after,
                ends=_ends(text, last, len(before), len(after)),
                unknown=_unknown(model, settings),
                unread=_unread(text, first, last),
            )

    def name_of(self, token: int) -> str:
        """What a token is called, "" if it is not in the vocabulary."""
        return next((name for name, number in _vocabulary(self._settings()) if number == token), "")

    def _settings(self) -> dict[str, Any]:
        settings = json.loads(decoded(self.content, self.path, TokenError))
        if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
            raise TokenError(f"{self.path} must be {_WHAT}, an object with a model, not {shown(settings)}")
        return settings

    def _special(self, processor: Any) -> tuple[list[Special], list[Special]]:
        """What a post-processor adds before and after a text."""
        before: list[Special] = []
        after: list[Special] = []
        match processor:
            case None | {"type": "ByteLevel"}:
                pass
            case {"type": "Sequence", "processors": [*parts]}:
                for part in parts:
                    first, last = self._special(part)
                    before, after = [*first, *before], [*after, *last]
            case {
                "type": "BertProcessing" | "RobertaProcessing",
                "cls": [str(), int()],
                "sep": [str(), int()],
            }:
                before, after = [_special(processor["cls"])], [_special(processor["sep"])]
            case {"type": "TemplateProcessing", "single": [*pieces], "special_tokens": {**known}}:
                text = [index for index, piece in enumerate(pieces) if _is_text(piece)]
                if len(text) == 1:
                    sides = (pieces[: text[0]], pieces[text[0] + 1 :])
                    before, after = (_few(_of_template(side, known)) for side in sides)
                else:
                    raise TokenError(
                        f"post_processor of {self.path} must take the text once, not {len(text)} times"
                    )
            case _:
                raise TokenError(
                    f"post_processor of {self.path} must add tokens before and after a text, not be {shown(processor)}"
                )
        if len(before) + len(after) > MOST_SPECIAL:
            raise TokenError(
                f"post_processor of {self.path} must add at most {MOST_SPECIAL} tokens, not more"
            )
        return before, after

    def _encoded_apart(self, tokenizer: bytes, text: bytes) -> Iterator[NDArray[np.int64]]:
        """ids, first and last + 1 characters of the tokens, from a process of its own."""
        size = len(tokenizer) + len(text)
        memory, seconds = 1024 * MEBIBYTE + 256 * size, BASE_SECONDS + size // 200_000
        words = [
            sys.executable,
            "-P",
            tokenizer_worker.__file__,
            *map(str, (memory, seconds, len(tokenizer))),
        ]
        try:
            run = subprocess.run(
                words,
                input=tokenizer + text,
                capture_output=True,
                check=False,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            )
        except OSError as error:
            raise ToolError(
                f"Python must be able to start another process to read text, which fails: {error.strerror or error}"
            ) from None
        if run.returncode == 0:
            return iter(np.frombuffer(run.stdout, np.int64).reshape(3, -1))
        if run.returncode == tokenizer_worker.FAILED:
            reason = "".join(c if c.isprintable() else " " for c in run.stdout.decode(errors="replace"))[:200]
        elif run.returncode == -signal.SIGXCPU:
            reason = f"it takes longer than {seconds} seconds for {len(text):,} bytes of text"
        else:
            reason = f"it ends the tokenizers library, or takes more than {memory:,} bytes for {len(text):,} of text"
        raise TokenError(f"{self.path} must be {_WHAT} ({reason})")


def _special(pair: Sequence[Any]) -> Special:
    return int(pair[1]), str(pair[0])


def _is_text(piece: Any) -> bool:
    return "Sequence" in piece and piece["Sequence"]["id"] == "A"


def _of_template(pieces: Sequence[Any], known: dict[Any, Any]) -> Iterator[Special]:
    for piece in pieces:
        entry = known[piece["SpecialToken"]["id"]]
        for token, name in zip(entry["ids"], entry["tokens"], strict=True):
            yield int(token), str(name)


def _few(special: Iterator[Special]) -> list[Special]:
    """No more than it takes to see that they are too many."""
    return list(itertools.islice(special, MOST_SPECIAL + 1))


def _ids(special: Sequence[Special]) -> NDArray[np.int64]:
    return np.array([token for token, _ in special], np.int64)


def _vocabulary(settings: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and ids: of added tokens, then of the model, which lists them by id (Unigram) or by name."""
    for added in settings.get("added_tokens") or ():
        yield added["content"], added["id"]
    vocabulary = settings["model"].get("vocab") or {}
    if isinstance(vocabulary, dict):
        yield from vocabulary.items()
    else:
        for number, (name, *_) in enumerate(vocabulary):
            yield name, number


def _unknown(model: dict[str, Any], settings: dict[str, Any]) -> Special | None:
    """The token of text that has none, if the model has one."""
    wanted = model.get("unk_token") if model.get("unk_id") is None else model["unk_id"]
    if wanted is None:
        return None
    return next(((number, name) for name, number in _vocabulary(settings) if wanted in (name, number)), None)


def _ends(text: str, last: NDArray[np.int64], before: int, after: int) -> NDArray[np.int64]:
    """int64[tokens]: bytes of UTF-8 up to the end of each token; what follows the last one belongs to it."""
    points = _points(text)
    sizes = (points >= 0x80).astype(np.uint8) + (points >= 0x800) + (points >= 0x10000) + np.uint8(1)
    bytes_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    ends = np.maximum.accumulate(bytes_before[last.clip(0, len(text))])
    whole = bytes_before[-1:].repeat(after + min(last.size, 1))
    return np.concatenate([np.zeros(before, np.int64), ends[:-1], whole])


def _unread(text: str, first: NDArray[np.int64], last: NDArray[np.int64]) -> int:
    """Characters, white space apart, in none of the spans."""
    change = np.zeros(len(text) + 1, np.int32)
    np.add.at(change, first.clip(0, len(text)), 1)
    np.add.at(change, last.clip(0, len(text)), -1)
    left, counts = np.unique(_points(text)[np.cumsum(change)[:-1] == 0], return_counts=True)
    return sum(int(count) for point, count in zip(left, counts, strict=True) if not chr(point).isspace())


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
