"""Puts the energies that `spikesim compare` measured into the package, for the estimates of `spikesim map`.

spikesim compare examples/tiny_dssa -o build/compare && python benchmarks/energies.py build/compare/report.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spikesim.results.report import Report
from spikesim.support.files import write_text_atomic

TARGET = Path(__file__).parent.parent / "power_models" / "energies" / "measured.json"


def main(*reports: str) -> int:
    """One design per report; what was there is replaced."""
    entries = []
    for name in reports:
        report = Report.model_validate_json(Path(name).read_text(encoding="utf-8"))
        if report.comparison is None or report.comparison.energies is None:
            print(f"{name} must be a report of `spikesim compare` with energies")
            return 1
        entries.append(report.comparison.energies.model_dump(mode="json", exclude_none=True))
    write_text_atomic(TARGET, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
