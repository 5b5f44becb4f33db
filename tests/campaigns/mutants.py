"""Runs every mutant of the RTL: a copy of the tree with one plausible bug, in which the unit's bench must fail.

    make mutants                  all
    make mutants ARGS="pointwise" those of one list

A bench that passes on a mutant is too weak; a text that is not found means that the list is out of date. Either fails.
So does a bench that fails without any mutant: it would kill them all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from helpers.places import CHECKOUT

LISTS = sorted((CHECKOUT / "tests" / "mutants").glob("*.py"))
TIMEOUT_S = 600
WORKERS = 2
COPIED = ("rtl", "mapping", "power_models", "spikesim", "tests", "pyproject.toml", "examples")


def load(path: Path) -> list[dict[str, str]]:
    """The mutants of one list: file, old, new, why, bench."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.MUTANTS)


def run(mutant: dict[str, str]) -> tuple[str, float]:
    """("killed" | "SURVIVED" | "STALE", seconds)."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(
                    source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copyfile(source, tree / name)
        # Verilator's own library, most of what a small bench compiles, is the same for all.
        store = CHECKOUT / "build" / "benches" / "objects"
        store.mkdir(parents=True, exist_ok=True)
        (tree / "build" / "benches").mkdir(parents=True)
        (tree / "build" / "benches" / "objects").symlink_to(store)
        target = tree / mutant["file"]
        text = target.read_text(encoding="utf-8")
        if text.count(mutant["old"]) == 0:
            return "STALE", 0.0
        target.write_text(text.replace(mutant["old"], mutant["new"], 1), encoding="utf-8")
        test, *selection = mutant["bench"].split(" ", 1)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
        for part in selection:
            command += part.split(" ", 1)
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
            )
            # 1: a test failed. Anything else (no test found, usage) proves nothing.
            outcome = {0: "SURVIVED", 1: "killed"}.get(done.returncode, f"BROKEN ({done.returncode})")
        except subprocess.TimeoutExpired:
            outcome = "killed"  # it hangs, which the bench would report later
    return outcome, time.monotonic() - start


def run_unchanged(bench: str) -> tuple[str, float]:
    """`run` of a tree without a mutant: "SURVIVED" if all is well."""
    return run({"file": "pyproject.toml", "old": "[project]", "new": "[project]", "bench": bench})


def main() -> int:
    """Runs the lists named on the command line, or all; 1 if any mutant lives."""
    wanted = sys.argv[1:]
    lists = [path for path in LISTS if not wanted or any(name in path.stem for name in wanted)]
    failed = total = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for path in lists:
            mutants = load(path)
            benches = list(dict.fromkeys(mutant["bench"] for mutant in mutants))
            for bench, (outcome, _) in zip(benches, pool.map(run_unchanged, benches), strict=True):
                if outcome != "SURVIVED":
                    print(f"{outcome} without a mutant: {bench}", flush=True)
                    return 1
            for mutant, (outcome, seconds) in zip(mutants, pool.map(run, mutants), strict=True):
                total += 1
                failed += outcome != "killed"
                print(f"{outcome:9} {seconds:5.0f} s  {mutant['file']}: {mutant['why']}", flush=True)
    print(f"{total - failed} of {total} mutants killed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
