"""How a model reads text: through its `tokenizer.json`, or byte by byte; and what a mapping keeps of it."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import TokenError
from spikesim.program.compiled import Compiled
from spikesim.run.tokenizer import TOKENIZER_FILE, Special, TokenizerFile
from spikesim.support.files import write_bytes_atomic
from spikesim.support.reading import MEBIBYTE, decoded, read_bytes
from spikesim.support.shown import shown

BYTE_VOCABULARY = 256
"""A model of this vocabulary without a tokenizer reads bytes."""

LARGEST_TEXT = 64 * MEBIBYTE

_OTHER_TOKENIZERS = (
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer_config.json",
)
"""Files of tokenizers in other forms: beside them, 256 tokens are not bytes."""


@dataclass(frozen=True, kw_only=True)
class TextTokens:
    """A text as tokens, not cut into sequences; fields as those of `Encoded`.

    `is_bytes`: a token is a byte, and `ends` is not needed.
    """

    ids: NDArray[np.int64]
    is_bytes: bool
    ends: NDArray[np.int64] | None = None
    before: Sequence[Special] = ()
    after: Sequence[Special] = ()
    unknown: Special | None = None
    unread: int = 0

    def n_bytes(self, tokens: int) -> int:
        """Bytes of the text that the first `tokens` tokens stand for."""
        return tokens if self.ends is None else int(self.ends[tokens - 1])


@dataclass(frozen=True, kw_only=True)
class TextReader:
    """`vocabulary`: tokens of the model; `tokenizer`: None for bytes; `refusal`: why no text can be read, or ""."""

    vocabulary: int
    tokenizer: TokenizerFile | None = None
    refusal: str = ""

    @property
    def reads(self) -> Literal["bytes", "tokenizer", "nothing"]:
        """What a text becomes, as `TextRule` names it."""
        if self.refusal:
            return "nothing"
        return "bytes" if self.tokenizer is None else "tokenizer"

    def read(self, path: Path) -> TextTokens:
        """The tokens of a text file. Raises TokenError if it is no text, or there is no way to make tokens of it."""
        if self.refusal:
            raise TokenError(self.refusal)
        raw = _text(path)
        if self.tokenizer is None:
            found = TextTokens(ids=np.frombuffer(raw, np.uint8).astype(np.int64), is_bytes=True)
        else:
            encoded = self.tokenizer.encode(decoded(raw, path, TokenError))
            found = TextTokens(is_bytes=False, **vars(encoded))
            self._check(found.ids, self.tokenizer, path)
        own = found.ids.size - len(found.before) - len(found.after)
        if own < 1 or found.ids.size < 2:
            raise TokenError(
                f"text file {path} must hold something to predict, two tokens or more, not {own} of text"
                f" and {found.ids.size - own} special"
            )
        return found

    def _check(self, ids: NDArray[np.int64], tokenizer: TokenizerFile, path: Path) -> None:
        wrong = ids[(ids < 0) | (ids >= self.vocabulary)]
        if wrong.size:
            token = int(wrong[0])
            raise TokenError(
                f"tokens of {path} must be in 0 … {self.vocabulary - 1}, the model's vocabulary, not {token} "
                f"({shown(tokenizer.name_of(token))}), as {tokenizer.path} has it"
            )


def model_reader(folder: Path, vocabulary: int) -> TextReader:
    """The reader of a checkpoint whose companion files are in `folder`. Raises TokenError for a tokenizer that is there
    and cannot be read."""
    path = folder / TOKENIZER_FILE
    if os.path.lexists(path):
        return TextReader(vocabulary=vocabulary, tokenizer=TokenizerFile.read(path))
    refusal = ""
    other = next((name for name in _OTHER_TOKENIZERS if os.path.lexists(folder / name)), None)
    if other is not None:
        refusal = f"the tokenizer in {folder} must be a {TOKENIZER_FILE} to read text, not {other}"
    elif vocabulary != BYTE_VOCABULARY:
        refusal = f"a model of {vocabulary} tokens needs {TOKENIZER_FILE} beside it to read text"
    return TextReader(
        vocabulary=vocabulary, refusal=refusal and f"{refusal}; give token ids with --tokens instead"
    )


def mapped_reader(compiled: Compiled) -> TextReader:
    """The reader of a mapping: that of the model it was made from. Raises TokenError if its tokenizer is not there."""
    rule, vocabulary = compiled.text.reading, compiled.text.host.items
    if rule.reads == "bytes" and vocabulary == BYTE_VOCABULARY:
        return TextReader(vocabulary=vocabulary)
    if rule.reads != "tokenizer":
        return TextReader(
            vocabulary=vocabulary,
            refusal=f"input of {compiled.folder} must be token ids (--tokens), not text: "
            "it was mapped from a model without a tokenizer",
        )
    tokenizer = TokenizerFile.read(compiled.programs_folder / TOKENIZER_FILE)
    if _digest(tokenizer) != rule.tokenizer_sha256:
        raise TokenError(
            f"{tokenizer.path} must be the file that spikesim map wrote, not another; map the model anew"
        )
    return TextReader(vocabulary=vocabulary, tokenizer=tokenizer)


def save_tokenizer(reader: TextReader, folder: Path) -> str | None:
    """Write the tokenizer into a mapping's folder of programs and return its SHA-256; None if there is none."""
    if reader.tokenizer is None:
        return None
    write_bytes_atomic(folder / TOKENIZER_FILE, reader.tokenizer.content)
    return _digest(reader.tokenizer)


def _digest(tokenizer: TokenizerFile) -> str:
    return hashlib.sha256(tokenizer.content).hexdigest()


def _text(path: Path) -> bytes:
    """What a text file holds, without a byte-order mark. Raises TokenError for what is not text."""
    raw = read_bytes(path, "a text", TokenError, limit=LARGEST_TEXT)
    if not raw:
        raise TokenError(f"text file {path} must hold some text, not be empty")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoded(raw, path, TokenError)
    if b"\0" in raw:
        raise TokenError(
            f"text file {path} must be text, not hold a null byte at {raw.index(0)}, as arrays, archives and UTF-16 do"
        )
    return raw.removeprefix(codecs.BOM_UTF8)
