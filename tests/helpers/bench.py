"""`run_bench`: a component of the RTL in Verilator, tested by a cocotb module of `tests/benches`.

    run_bench(Ram(width=32, depth=100), "ram", "ram", environment={"BENCH": json.dumps({"depth": 100})})

The module's cocotb tests see the top module's signals by their Verilog names (`dut.write__enable`), `clk` and `rst`,
and the words and read enables of every memory. All else is Verilator's to simplify: with every signal public, as the
runner has it, a build takes three times as long. A build is kept under `build/benches/<name>`, one per text of the
Verilog; give every set of parameters a name of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

from amaranth.lib import wiring
from cocotb_tools.runner import get_runner
from helpers.places import CHECKOUT

from spikesim.rtl.verilog import verilog
from spikesim.support.sources import digest
from spikesim.tools import verilator

BUILDS = CHECKOUT / "build" / "benches"
_CONTROL = """`verilator_config
public_flat_rw -module "spikesim_ram" -var "words"
public_flat_rd -module "spikesim_ram" -var "read_enable"
public_flat_rw -module "{top}" -var "*"
"""
"""What is public, for the top module `top`."""
_ARGUMENTS = ["--no-public-flat-rw", "-O3", "--x-assign", "unique", "--x-initial", "unique"]
_ARGUMENTS += ["-Wno-fatal", "-Wno-lint"]


def run_bench(
    component: wiring.Component,
    name: str,
    module: str,
    *,
    environment: Mapping[str, str] | None = None,
    testcases: str | Sequence[str] | None = None,
    coverage: Path | None = None,
) -> None:
    """Run the cocotb tests of `benches/<module>.py` on `component`, the top module `name`; AssertionError if any
    fails. `environment`: for the tests. `testcases`: names of those to run, all by default. `coverage`: where a record
    of the lines goes that they reach.

    Random numbers of the tests are the same in every run; `BENCH_SEED` in the environment changes them. `BENCH_LOG=1`
    shows the log of the simulation.
    """
    lines = [] if coverage is None else ["--coverage-line"]
    folder = _build(verilog(component, name), name, lines)
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as scratch:
        log, results = Path(scratch, "log"), Path(scratch, "results.xml")
        failed = ""
        with _tools(folder):
            try:
                get_runner("verilator").test(
                    test_module=f"benches.{module}",
                    hdl_toplevel=name,
                    hdl_toplevel_lang="verilog",
                    build_dir=folder,
                    test_dir=scratch,
                    results_xml=str(results),
                    testcase=testcases,
                    seed=os.environ.get("BENCH_SEED", "1"),
                    extra_env=dict(environment or {}),
                    plusargs=[] if coverage is None else [f"+verilator+coverage+file+{coverage}"],
                    log_file=log,
                )
            except (RuntimeError, SystemExit) as error:  # the simulation ended early; the log says why
                failed = str(error)
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if os.environ.get("BENCH_LOG"):
            print(text)
        failed = failed or _failures(results)
        if failed:
            raise AssertionError(f"{name}: {failed}\n" + "\n".join(text.splitlines()[-120:]))


def _failures(results: Path) -> str:
    """Names of the failed tests of a cocotb result file; empty if there are tests and all passed."""
    if not results.exists():
        return "the simulation wrote no results"
    cases = list(ET.parse(results).getroot().iter("testcase"))
    failed = [
        c.get("name", "?") for c in cases if c.find("failure") is not None or c.find("error") is not None
    ]
    passed = [c for c in cases if c.find("skipped") is None and c.get("name") not in failed]
    return ", ".join(failed) + " failed" if failed else "" if passed else "no test ran"


def _build(text: str, name: str, more: Sequence[str]) -> Path:
    """The folder of the simulation of a Verilog text, built unless it is there; `more` arguments for Verilator."""
    verilator.check_compiler()
    how = [digest(verilator.__name__), verilator.toolchain(), *_ARGUMENTS, *more, Path(__file__).read_text()]
    key = hashlib.sha256("\0".join([text, *how]).encode()).hexdigest()[:16]
    folder = BUILDS / name / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another pytest worker may want the same build
        done = folder / "done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            source = folder / f"{name}.v"
            source.write_text(text, encoding="utf-8")
            control = folder / "public.vlt"
            control.write_text(_CONTROL.format(top=name), encoding="ascii")
            verilator.write_launcher(folder)
            log = folder / "build.log"
            cache = verilator.write_object_cache(folder, BUILDS / "objects")
            with _tools(folder, OBJCACHE=cache):
                try:
                    get_runner("verilator").build(
                        sources=[control, source],
                        hdl_toplevel=name,
                        build_dir=folder,
                        build_args=[*_ARGUMENTS, *more],
                        always=True,
                        log_file=log,
                    )
                except (RuntimeError, SystemExit) as error:
                    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
                    raise AssertionError(f"{name} does not build: {error}\n" + "\n".join(tail)) from None
            for path in [*folder.glob("*.o"), *folder.glob("*.a"), *folder.glob("*.gch")]:
                path.unlink()
            done.touch()
    return folder


@contextlib.contextmanager
def _tools(folder: Path, **make: str) -> Iterator[None]:
    """The environment in which cocotb finds Verilator and its makefile the compiler."""
    variables = verilator.environment(OPT_FAST="-O0", OPT_SLOW="-O0", OPT_GLOBAL="-O1", **make)
    variables["PATH"] = f"{folder}{os.pathsep}{variables['PATH']}"
    with mock.patch.dict(os.environ, variables):
        for name in ("PYTEST_CURRENT_TEST", "WAVES", "GUI"):  # cocotb would act on them
            os.environ.pop(name, None)
        yield
