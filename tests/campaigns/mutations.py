"""One field of a random program changed at random, and what becomes of it: refused, or every model agrees.

Run as a script it tries mutations by number and prints how many were refused:

    PYTHONPATH=tests python tests/campaigns/mutations.py [count] [first]

Every batch is a process of its own, so that a crash is a failure with its numbers and ends nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from helpers.lava_loopback import run
from helpers.rtl_cores import CORES, built_core
from pydantic import ValidationError

from spikesim.backends.lava.spikes import CODINGS, SERIAL
from spikesim.errors import CapacityError, HardwareError, ProgramError, SpikesimError
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain, Program, ProgramText, series
from spikesim.program.verifier import verify_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.compare import LockstepDifference
from spikesim.verify.lockstep import Lockstep
from spikesim.verify.random_programs import RandomProgram

BATCH = 50
RTL_EVERY = 4
"""Of the mutations that are accepted, those whose number this divides run on the RTL as well."""

TESTS = Path(__file__).parents[1]
WORDS = (
    "kind",
    "sum",
    "sum_abs",
    "max",
    "max_abs",
    "sum_squares",
    "window",
    "full",
    "blocks",
    "keys",
    "means",
)
WORDS += ("parallel", "attention", "recurrent", "matrix", "values", "state", "sigmoid", "softplus", "step")
FAR = (-1, 0, 1, 2, 3, 31, 63, 127, 128, 255, 10**6, -(10**6), 2**24, 2**31, 2**40, 10**30)

Place = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A program with one thing changed; `text` may be no program any more. `what` says which."""

    text: dict[str, Any]
    constants: dict[str, np.ndarray]
    matrices: dict[str, np.ndarray]
    what: str


def leaves(node: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of a program's text that is no list and no table, and where it is."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def replaced(node: Any, path: Place, value: Any) -> Any:
    """A copy of `node` with another value at `path`."""
    if not path:
        return value
    if isinstance(node, dict):
        return {k: replaced(v, path[1:], value) if k == path[0] else v for k, v in node.items()}
    return [replaced(v, path[1:], value) if k == path[0] else v for k, v in enumerate(node)]


def mutate(program: Program, generator: np.random.Generator) -> Mutation:
    """One change: mostly of a number or name of the text, now and then of an array."""
    text = program.text.model_dump(mode="json")
    constants, matrices = dict(program.constants), dict(program.matrices)
    if generator.random() < 0.08:
        what = _mutate_array(generator, constants if generator.random() < 0.6 and constants else matrices)
        return Mutation(text=text, constants=constants, matrices=matrices, what=what)
    every = list(leaves(text))
    path, old = every[int(generator.integers(len(every)))]
    names = [*text["vectors"], *text["caches"], *text["states"], *matrices, "nothing"]
    new = _another(old, path, names, generator)
    where = ".".join(map(str, path))
    return Mutation(
        text=replaced(text, path, new),
        constants=constants,
        matrices=matrices,
        what=f"{where}: {old} -> {new}",
    )


def _another(old: Any, path: Place, names: list[str], generator: np.random.Generator) -> Any:
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        near = [old - 1, old + 1, old - 2, old + 2, 2 * old, old // 2, -old]
        return (
            [*near, *FAR][int(generator.integers(len(near) + len(FAR)))]
            if generator.random() < 0.5
            else (near[int(generator.integers(len(near)))])
        )
    if old is None:
        view = {"name": names[int(generator.integers(len(names)))], "groups": int(generator.integers(1, 4))}
        return view if path[-1] not in ("reduce", "keys", "initial") else None
    pool = names if str(old) in names else list(WORDS)
    return pool[int(generator.integers(len(pool)))]


def _mutate_array(generator: np.random.Generator, arrays: dict[str, np.ndarray]) -> str:
    if not arrays:
        return "nothing"
    name = list(arrays)[int(generator.integers(len(arrays)))]
    array = arrays[name]
    way = ("gone", "float", "wider", "shorter", "transposed", "renamed", "strided", "words")
    chosen = way[int(generator.integers(len(way)))]
    if chosen in ("gone", "renamed"):
        del arrays[name]
        if chosen == "renamed":
            arrays[name + "x"] = array
    else:
        arrays[name] = {
            "float": array.astype(np.float32),
            "wider": array.astype(np.int64),
            "shorter": array[:-1],
            "transposed": np.ascontiguousarray(array[None].T),
            "strided": np.repeat(array, 2, axis=-1)[..., ::2],
            "words": np.roll(array, 1),
        }[chosen]
    return f"array {name} {chosen}"


def outcome(number: int, folder: Path) -> tuple[str, str]:
    """(what became of mutation `number`, the mutation): "text", "refused", "backend" or "agrees"; else an error."""
    generator = np.random.default_rng([number, 13])
    made = RandomProgram(number, stanzas=4 + number % 5)
    mutation = mutate(made.program(), generator)
    try:
        text = ProgramText.model_validate(mutation.text)
    except (ValidationError, HardwareError):
        return "text", mutation.what
    program = Program(text=text, constants=mutation.constants, matrices=mutation.matrices)
    try:
        chain = series([program])
        verify_chain(chain)
    except ProgramError:
        return "refused", mutation.what
    hardware = HardwareConfig().replace(**{"numerics.coding": SERIAL[number % len(SERIAL)]})
    words = np.resize(made.inputs(), (made.tokens, text.vectors["h"]))
    pair = np.stack([words, words[::-1]], axis=1)
    try:
        both = Simulator(program, hardware, 2).run({"h": pair})[text.outputs[0].name]
        alone = Simulator(program, hardware).run({"h": words[:, None]})[text.outputs[0].name]
    except ProgramError:  # words that its ports do not take
        return "refused", mutation.what
    if not np.array_equal(both[:, 0], alone[:, 0]):
        raise AssertionError(f"mutation {number} ({mutation.what}): sequences touch each other")
    try:
        found = run(chain, words, hardware, CODINGS[number % len(CODINGS)], folder)
    except SpikesimError:
        return "backend", mutation.what
    if found.differences:
        raise AssertionError(f"mutation {number} ({mutation.what}): {found.differences[0]}")
    if number % RTL_EVERY:
        return "agrees", mutation.what
    try:
        differences = _on_rtl(chain, words, folder / str(number))
    except CapacityError:  # larger than the core at hand
        return "agrees without RTL", mutation.what
    if differences:
        raise AssertionError(f"mutation {number} ({mutation.what}): {differences[0]}")
    return "agrees on the RTL too", mutation.what


def _on_rtl(chain: Chain, words: np.ndarray, folder: Path) -> list[LockstepDifference]:
    """Every word and cycle of the chain on the core of the random programs, against golden and the cycle model."""
    core = CORES["row"]
    lockstep = Lockstep(chain, core.hardware, built_core("row", core.config()), folder)
    return lockstep.run(words).comparison.differences


def batch(first: int, count: int) -> Counter[str]:
    """Outcomes of `count` mutations; an error names the one it comes from."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            print(number, file=sys.stderr, flush=True)
            outcomes[outcome(number, Path(folder))[0]] += 1
    return outcomes


def batch_apart(first: int, count: int, **environment: str) -> Counter[str]:
    """`batch` in a process of its own. AssertionError if it fails or crashes, with the end of what it said."""
    done = subprocess.run(
        [sys.executable, __file__, "--batch", str(count), str(first)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(TESTS)} | environment,
    )
    if done.returncode:
        raise AssertionError(
            f"mutations from {first} on ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    return Counter(json.loads(done.stdout))


def main() -> None:
    """The campaign, or with --batch one batch of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=2000)
    parser.add_argument("first", nargs="?", type=int, default=0)
    parser.add_argument(
        "--batch", action="store_true", help="in this process, and print the outcomes as JSON"
    )
    arguments = parser.parse_args()
    count, first = arguments.count, arguments.first
    if arguments.batch:
        print(json.dumps(batch(first, count)))
        return
    total: Counter[str] = Counter()
    failures = 0
    for start in range(first, first + count, BATCH):
        try:
            total += batch_apart(start, min(BATCH, first + count - start))
        except AssertionError as error:
            failures += 1
            print(error)
    print(f"{count} mutations: {dict(total)}, {failures} batches failed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
