"""Writes `docs/robustness.md` from the marks of the tests (`make robustness`)."""

import contextlib
import io
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from helpers.tried import KINDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "robustness.md"

HEAD = """# What happens when something is wrong

A wrong number that looks right is worse than a crash. This page lists what is tried on spikesim in its tests, by kind
of trouble, and what happens. It is made from the tests (`make robustness`), and `make test` runs them all. An input
that cannot be used ends in one sentence that says what to do, and exit status 1 (2 for wrong usage); nothing is
written, or all of it.
"""


class _Collected:
    """Takes the marks of all tests that pytest would run."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """A test may carry several rows; two with one text are one row."""
        for item in items:
            for mark in item.iter_markers("tried"):
                self.rows[mark.kwargs["kind"]][mark.kwargs["what"], mark.kwargs["happens"]] += 1


def page() -> str:
    """The page as it should be."""
    collected = _Collected()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:cov", str(ROOT / "tests")],
            plugins=[collected],
        )
    if status != pytest.ExitCode.OK:
        raise SystemExit(said.getvalue())
    total = sum(len(rows) for rows in collected.rows.values())
    lines = [HEAD, f"{total} cases.", ""]
    for kind, title in KINDS.items():
        rows = collected.rows.get(kind, {})
        if rows:
            lines += [f"## {title}", "", "| tried | happens |", "|---|---|"]
            lines += [f"| {_cell(what)} | {_cell(happens)} |" for what, happens in sorted(rows)]
            lines += [""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
