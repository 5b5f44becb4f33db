"""Runs exported graphs in norse or snntorch, in a process of its own.

    python nir_runner.py TOOL docs/nir.md JOBS.json

JOBS.json is a list of {"file", "entry", "counts", "sums"}: the path of a graph, its entry of `export.json`, the path of
its counts, and where the sums go. The code that runs a graph is the example in the documentation. The example itself
runs first, as a script, on the folder `exported` below the current one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np


def example(document: str, tool: str) -> Any:
    """Run the document's example that imports a tool, and return its function `sums`."""
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if tool in block]
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, f"example of {tool}", "exec"), scope)
    return scope["sums"]


def main(tool: str, document: Path, jobs: Path) -> None:
    sums = example(document.read_text(encoding="utf-8"), tool)
    for job in json.loads(jobs.read_text()):
        path = Path(job["file"])
        np.save(job["sums"], sums(path.parent, {**job["entry"], "file": path.name}, np.load(job["counts"])))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
