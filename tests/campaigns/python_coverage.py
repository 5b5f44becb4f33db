"""Lines of Python that the tests run, per package.

    make pycoverage

Three runs into one record: the tests of `make quick`; those of `mapping` that take too long for it, which read archives
and exported programs; and those of the golden model once more with numba switched off, because nobody sees the lines of
a compiled function. (Whole models would take hours so; the first run has them.)
Prints a table and fails if a package is below its bar; the record, line by line, goes to build/pycoverage.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from helpers.places import CHECKOUT

FOLDER = CHECKOUT / "build" / "pycoverage"
BARS = {"spikesim/golden": 95, "spikesim/cycle": 95, "spikesim/program": 95, "mapping": 95}
"""Percent of lines, for what decides values and cycles."""
KERNELS = ("tests/golden", "--deselect=tests/golden/test_machine.py")


def python(*command: str, **variables: str) -> None:
    environment = os.environ | {"COVERAGE_FILE": str(FOLDER / "record"), "OMP_NUM_THREADS": "1"} | variables
    subprocess.run([sys.executable, "-m", *command], cwd=CHECKOUT, env=environment, check=True)


def measure(*arguments: str, **variables: str) -> None:
    """Adds to the record what one run of the tests executes."""
    record = ("--cov", "--cov-append", "--cov-report=")
    python("pytest", "-q", "--dist=loadfile", *record, *arguments, **variables)


def lines() -> dict[str, tuple[int, int]]:
    """Per package: lines that were run, lines there are. The folders at the top of the checkout are one each."""
    python("coverage", "html", "-q", "-d", str(FOLDER / "html"))
    python("coverage", "json", "-q", "-o", str(FOLDER / "lines.json"))
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for name, file in json.loads((FOLDER / "lines.json").read_text(encoding="utf-8"))["files"].items():
        top, *below = Path(name).parent.parts
        package = "/".join([top, *below[:1]]) if top == "spikesim" else top
        run, there = found[package]
        summary = file["summary"]
        found[package] = run + summary["covered_lines"], there + summary["num_statements"]
    return dict(sorted(found.items()))


def main(jobs: str) -> int:
    """Measures, prints the table; 1 if a bar is missed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    measure("-n", jobs, "-m", "not slow and not more")
    measure("-n", jobs, "-m", "slow and not more", "tests/mapping")
    measure("-n", jobs, *KERNELS, NUMBA_DISABLE_JIT="1")
    missed = False
    for package, (run, there) in lines().items():
        percent, bar = 100 * run / there, BARS.get(package, 0)
        missed |= percent < bar
        print(
            f"{package:20} {run:6} of {there:6} lines {percent:6.1f} %" + (f"   bar {bar} %" if bar else "")
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "2"))
