"""What a program is given to run on: the kernels take the words of an array for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.program import Port, Program
from spikesim.program.verifier.findings import Findings, raise_if_any


def verify_inputs(
    program: Program, inputs: Mapping[str, NDArray[Any]], sequences: int, position: int = 0
) -> int:
    """The number of tokens in inputs: int32[tokens, sequences, words] by name.

    Every input of the program must be there, with its words. A program without inputs is told the tokens by an array
    without words, of any name. The tokens come after `position` others. Raises ProgramError for anything else.
    """
    found = Findings(program.text.name)
    for name in program.text.input_names:
        found.require(name in inputs, f"input {name}", "given", "missing")
    tokens = 0
    for name, words in inputs.items():
        width = program.text.vectors[name] if name in program.text.input_names else 0
        own = words.shape[0] if _is_words(words) else 0
        fits = own > 0 and words.shape == (tokens or own, sequences, width)
        rule = f"int32[{tokens or 'tokens'}, {sequences}, {width}]"
        if found.require(fits, f"input {name}", rule, _describe(words)):
            tokens = own
    found.require(bool(inputs), "inputs", "given, if only an array without words", "missing")
    raise_if_any(found.found)
    steps = program.text.requires.steps
    if steps is not None:
        found.within(position + tokens, 1, steps, "tokens of a sequence")
    for port in program.text.inputs:
        _check_limit(port, inputs[port.name], found)
    raise_if_any(found.found)
    return tokens


def _check_limit(port: Port, words: NDArray[Any], found: Findings) -> None:
    """A port that is narrower than a word is given what it holds."""
    if port.format.bits < 32:
        for extreme in (int(words.min()), int(words.max())):
            found.within(extreme, port.format.least, port.format.limit, f"words of input {port.name}")


def verify_stream(words: NDArray[Any]) -> None:
    """Raises ProgramError unless words are int32[tokens, sequences, words], as a chain of programs takes them."""
    found = Findings("chain")
    found.require(
        _is_words(words) and words.size > 0, "its input", "int32[tokens, sequences, words]", _describe(words)
    )
    raise_if_any(found.found)


def _is_words(words: Any) -> bool:
    return isinstance(words, np.ndarray) and words.dtype == np.int32 and words.ndim == 3


def _describe(words: Any) -> str:
    if not isinstance(words, np.ndarray):
        return type(words).__name__
    return f"{words.dtype}[{', '.join(map(str, words.shape))}]"
