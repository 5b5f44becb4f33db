"""`docs/robustness.md` says what the tests try, and nothing else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tests_say():
    # In a process of its own: collecting all tests imports everything, and pytest does not run inside itself.
    code = "from campaigns import robustness; print(robustness.page(), end='')"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout == (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8"), (
        "run `make robustness` and commit docs/robustness.md"
    )
