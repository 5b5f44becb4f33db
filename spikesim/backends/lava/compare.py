"""Compares the records of a network with golden: every word, spike, cache and state word, and spike count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.expected import ExpectedProgram
from spikesim.backends.lava.plan import Plan, Stage
from spikesim.backends.lava.spikes import GRADED, SERIAL, decode
from spikesim.errors import NumericError
from spikesim.program import Gather, Scatter, is_matrix
from spikesim.results.lava import Compared, LavaDifference
from spikesim.spikes.digits import digits
from spikesim.spikes.encode import encode

SHOWN = 8
"""Differences that are kept, the first ones; all are counted."""

What = Literal["word", "spike", "cache", "state", "count", "output", "transit"]
Arrays = Mapping[str, NDArray[Any]]


class LavaComparison:
    """Counts what was compared, and the differences, per program."""

    def __init__(self, coding: str, planes: int, account: str) -> None:
        """`coding`, `planes`: how counts travelled. `account`: the coding in which golden counted spikes."""
        self.coding, self.planes, self.account = coding, planes, account
        self.compared: dict[str, dict[str, int]] = {}
        self.spikes: dict[str, int] = {}
        self.synaptic_operations: dict[str, int] = {}
        self.widths: dict[str, dict[str, Any]] = {}
        self.differences: list[LavaDifference] = []

    def of(self, program: str) -> Compared:
        """What was compared of a program."""
        return Compared(**self.compared.get(program, {}))

    def network(
        self, plan: Plan, expected: Mapping[str, ExpectedProgram], entry: NDArray[np.int32], folder: Path
    ) -> NDArray[np.int32]:
        """All records of one network; `expected` by program, `entry`: int32[tokens, words] that it was sent.

        Returns what left it, int32[tokens, words]. Raises NumericError if the network has no record of something that
        golden did.
        """
        sent = entry.reshape(-1)
        missing = {(name, key) for name, e in expected.items() for key in (*e.words, *e.stores)}
        for depth, stage in enumerate(plan.stages):
            with np.load(folder / f"{depth}.npz", allow_pickle=False) as record:
                arrays = dict(record)
            missing -= {(stage.program, key) for key in arrays}
            # counts of a matrix travel as spikes
            missing -= {(stage.program, f"counts.{n.number}") for n in stage.leaving}
            self._stage(stage, expected[stage.program], arrays, sent)
            sent = arrays.get("sent", np.zeros(0, np.int32))
        if missing:
            program, key = min(missing)
            raise NumericError(f"every instruction must run on Lava: {key} of program {program} did not")
        last = plan.stages[-1]
        outputs = np.load(folder / "outputs.npy", allow_pickle=False)
        if last.live_out:
            self._same("transit", last, "output", sent, outputs.reshape(-1), outputs.shape[1])
            self._count(last.program, "words", outputs.size)
        words: NDArray[np.int32] = outputs.astype(np.int32)
        return words

    def _stage(self, stage: Stage, expected: ExpectedProgram, record: Arrays, sent: NDArray[Any]) -> None:
        tokens = len(next(iter(expected.words.values()), []))
        arrived = record["arrived"]
        self._same("transit", stage, "live words", sent, arrived, max(1, arrived.size // max(1, tokens)))
        # What arrives from matrices comes before what the instructions make of it: the first difference is a cause.
        for n in (*stage.arriving, *stage.instructions):
            for k, view in enumerate(n.instruction.writes()):
                self._words(stage, view.name, f"word.{n.number}.{k}", expected, record)
            if isinstance(n.instruction, Gather | Scatter) and n in stage.instructions:
                self._words(stage, n.instruction.counts.name, f"counts.{n.number}", expected, record)
                self._account(stage, n.number, expected, record)
        for n in stage.leaving:
            self._spikes(stage, n.number, n.instruction, expected, record)
        for name, want in expected.stores.items():
            if name in record:
                kind: What = "cache" if name.startswith("cache") else "state"
                self._same(kind, stage, name, want.reshape(-1), record[name].reshape(-1), max(1, want.size))
                self._count(stage.program, "states", want.size)
        self._note_widths(json.loads(str(record["widths"])))

    def _words(self, stage: Stage, vector: str, name: str, expected: ExpectedProgram, record: Arrays) -> None:
        want = expected.words[name]
        sizes = np.array([words.size for words in want], np.int64)
        if not np.array_equal(sizes, record[f"{name}.sizes"]):
            token = int(np.flatnonzero(sizes != record[f"{name}.sizes"][: sizes.size])[0])
            got = int(record[f"{name}.sizes"][token])
            self._differ("word", stage, f"length of {vector}", (token, 0), got, int(sizes[token]))
            return
        self._same("word", stage, vector, np.concatenate(want), record[name], sizes)
        self._count(stage.program, "words", int(sizes.sum()))

    def _spikes(
        self, stage: Stage, number: int, gather: Gather, expected: ExpectedProgram, record: Arrays
    ) -> None:
        """Spikes into a matrix, step by step, and how many operations they cause."""
        counts = expected.counts_of(number)
        if self.coding == GRADED:
            want: NDArray[Any] = counts[:, None]
        else:
            want = encode(counts, self.coding, steps=self.planes).dense().transpose(1, 0, 2)
        sent = record[f"spikes.{number}"].reshape(want.shape)
        self._same("spike", stage, gather.name, want.reshape(-1), sent.reshape(-1), want[0].size)
        self._count(stage.program, "spikes", want.size)
        spikes = int(np.count_nonzero(sent))
        outputs = expected.program.matrices[gather.name].shape[0]
        self.spikes[stage.program] = self.spikes.get(stage.program, 0) + spikes
        self.synaptic_operations[stage.program] = (
            self.synaptic_operations.get(stage.program, 0) + spikes * outputs
        )
        # What the spikes mean, counted in the coding of the account, whatever coding they travelled in.
        meant = sent[:, 0] if self.coding == GRADED else decode(sent.transpose(1, 0, 2), self.coding)
        self._counted(stage, number, gather.name, _spikes_of(meant, self.account), expected)

    def _account(self, stage: Stage, number: int, expected: ExpectedProgram, record: Arrays) -> None:
        """Spikes of a gather or scatter inside the stage, against the account."""
        counts, sizes = record[f"counts.{number}"], record[f"counts.{number}.sizes"]
        written = record.get(f"word.{number}.0.sizes")
        if written is not None:
            # A gather over nothing, before the first block is finished, is not executed.
            counts = counts[np.repeat(written > 0, sizes)]
        self._counted(stage, number, f"instruction {number}", _spikes_of(counts, self.account), expected)

    def _counted(self, stage: Stage, number: int, name: str, got: int, expected: ExpectedProgram) -> None:
        want = expected.spikes[number]
        self._count(stage.program, "counts", 1)
        if got != want:
            self._differ("count", stage, name, (0, 0), got, want)

    def _same(
        self,
        what: What,
        stage: Stage,
        name: str,
        want: NDArray[Any],
        got: NDArray[Any],
        per_token: int | NDArray[np.int64],
    ) -> None:
        """Two arrays of all tokens in a row; `per_token`: entries of a token, or of each."""
        if want.shape != got.shape:
            self._differ(what, stage, f"length of {name}", (0, 0), got.size, want.size)
            return
        wrong = np.flatnonzero(want != got)
        if not wrong.size:
            return
        self._count(stage.program, "different", int(wrong.size) - 1)
        first = int(wrong[0])
        if isinstance(per_token, int):
            at = divmod(first, per_token)
        else:
            ends = np.cumsum(per_token)
            token = int(np.searchsorted(ends, first, side="right"))
            at = token, first - int(ends[token] - per_token[token])
        self._differ(what, stage, name, at, int(got[first]), int(want[first]))

    def _differ(self, what: What, stage: Stage, name: str, at: tuple[int, int], got: int, want: int) -> None:
        self._count(stage.program, "different", 1)
        if len(self.differences) < SHOWN:
            self.differences.append(
                LavaDifference(
                    what=what,
                    program=stage.program,
                    stage=stage.number,
                    name=name,
                    token=at[0],
                    word=at[1],
                    got=got,
                    expected=want,
                )
            )

    def _count(self, program: str, kind: str, number: int) -> None:
        counts = self.compared.setdefault(program, {})
        counts[kind] = counts.get(kind, 0) + number

    def _note_widths(self, widths: Mapping[str, Mapping[str, Any]]) -> None:
        for op, width in widths.items():
            known = self.widths.setdefault(
                op, {"words": 0, "beyond": 0, "word": 0, "product": 0, "vectors": set()}
            )
            known["words"] += width["words"]
            known["beyond"] += width["beyond"]
            known["word"] = max(known["word"], width["word"])
            known["product"] = max(known["product"], width["product"])
            known["vectors"] |= set(width["vectors"])


def _spikes_of(counts: NDArray[Any], coding: str) -> int:
    """Spikes that these counts are in a coding of the core."""
    return int(np.count_nonzero(digits(counts, coding)))


def traffic(expected: Sequence[ExpectedProgram]) -> Iterator[tuple[str, int, int]]:
    """(coding, spikes, synaptic operations) of all tokens into matrices: dense, graded, each coding of the core."""
    matrices = [
        (e.counts_of(n), e.program.matrices[i.name].shape[0])
        for e in expected
        for n, i in enumerate(e.program.instructions())
        if is_matrix(i)
    ]
    for name in ("dense", GRADED, *SERIAL):
        spikes = operations = 0
        for counts, outputs in matrices:
            if name == "dense":
                number = counts.size
            elif name == GRADED:
                number = int(np.count_nonzero(counts))
            else:
                number = encode(counts, name).n_spikes
            spikes += number
            operations += number * outputs
        yield name, spikes, operations
