"""What Verilator counted, from the records that simulations leave, and the same lines of cores of other sizes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple


class Point(NamedTuple):
    """A line, branch or toggle of a module, in all its instances."""

    kind: str
    module: str
    line: int
    what: str


def points_of(files: Iterable[Path]) -> Counter[Point]:
    """How often each point was met, those that never were included."""
    found: Counter[Point] = Counter()
    for file in files:
        for record, times in re.findall(r"(?m)^C '(.*?)' (\d+)$", file.read_text(encoding="latin-1")):
            part = dict(field.split("\x02", 1) for field in record.split("\x01") if field)
            kind, module = part["page"].removeprefix("v_").split("/", 1)
            found[Point(kind, module, int(part["l"]), f"{part['n']} {part['o']}")] += int(times)
    return found


def covered(points: Counter[Point]) -> dict[str, tuple[int, int]]:
    """(met, all) points per kind."""
    found: dict[str, tuple[int, int]] = {}
    for point, times in points.items():
        met, every = found.get(point.kind, (0, 0))
        found[point.kind] = met + (times > 0), every + 1
    return found


def lines_met(points: Counter[Point], source: str, target: str, modules: str) -> Counter[tuple[str, int]]:
    """How often the lines of some `modules` (a regular expression) of the Verilog text `target` were met, by module and
    number, where they are lines of `source` too but for its numbers: `points` are of that text.
    """
    met: Counter[tuple[str, int]] = Counter()
    for point, times in points.items():
        if point.kind == "line":
            met[point.module, point.line] += times
    found: Counter[tuple[str, int]] = Counter()
    theirs = _lines(target)
    for module, (first, lines) in _lines(source).items():
        if module in theirs and re.match(modules, module):
            start, others = theirs[module]
            for a, b, size in SequenceMatcher(None, lines, others, autojunk=False).get_matching_blocks():
                for k in range(size):
                    found[module, start + b + k] = met[module, first + a + k]
    return found


def _lines(text: str) -> dict[str, tuple[int, list[str]]]:
    """Of every module of a Verilog text the number of its first line, and its lines without their numbers."""
    found: dict[str, tuple[int, list[str]]] = {}
    own: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if name := re.match(r"module ([^\s(#;]+)", line):
            own = []
            found[name[1]] = number, own
        own.append(re.sub(r"\d*'[hb][0-9a-fxz]+|\d+", "#", line))
    return found
