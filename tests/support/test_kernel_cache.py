"""Compiled functions are kept between runs, and never run when any source or setting they were made of is another."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from helpers.tried import tried

import spikesim
from spikesim.support import kernel_cache
from spikesim.support.kernel_cache import KEPT, KernelCache

PACKAGE = Path(spikesim.__file__).parent
TOOLS = (
    "__init__",
    "errors",
    *(
        f"support/{name}"
        for name in ("__init__", "cache_folder", "jit", "kernel_cache", "reading", "seal", "sources")
    ),
)
"""All of spikesim that compiling needs."""

SMALL = {
    "constants.py": "UNIT = 1\n",
    "inner.py": "from spikesim.constants import UNIT\nfrom spikesim.support.jit import jit\n\n\n"
    "@jit()\ndef inner(x):\n    return x + UNIT\n",
    "outer.py": "import numpy as np\nfrom spikesim.inner import inner\nfrom spikesim.support.jit import jit\n\n\n"
    "@jit()\ndef outer(x):\n    return inner(x) * 10\n\n\n"
    "@jit()\ndef third(words, at):\n    return words[at]\n",
    "report.py": "TITLE = 'a'\n",
}
"""A package of its own, for speed: `outer` is compiled with `inner` of another file and `UNIT` of a third."""

CALL_OUTER = "from spikesim.outer import outer\nprint(outer(4), *outer.stats.cache_hits.values())"
CALL_THIRD = (
    "import numpy as np\nfrom spikesim.outer import third\n"
    "try: print(third(np.arange(10)[:3], 5))\nexcept IndexError: print('refused')"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that holds the small package."""
    folder = tmp_path / "checkout"
    (folder / "spikesim" / "support").mkdir(parents=True)
    for name in TOOLS:
        shutil.copy(PACKAGE / f"{name}.py", folder / "spikesim" / f"{name}.py")
    for name, text in SMALL.items():
        (folder / "spikesim" / name).write_text(text)
    return folder


def environment(checkout: Path, **more: str) -> dict[str, str]:
    """Of a process that takes spikesim from `checkout` and has a home of its own."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NUMBA_", "SPIKESIM_", "XDG_"))
    }
    # Python's own compiled files are told from their source by its size and second: too coarse for these tests.
    mine |= {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(checkout / "home")}
    return mine | more


def run(checkout: Path, script: str, *, before: Callable[[], None] | None = None, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=checkout,
        env=environment(checkout, **more),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def code_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_code_is_kept_between_runs(checkout: Path) -> None:
    assert run(checkout, CALL_OUTER) == "50"
    assert run(checkout, CALL_OUTER) == "50 1"


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [
        ("inner.py", "x + UNIT", "x - UNIT", "30"),
        ("constants.py", "UNIT = 1", "UNIT = 2", "60"),
        ("outer.py", "* 10", "* 100", "500"),
    ],
)
def test_change_of_what_was_compiled_in_is_seen(
    checkout: Path, file: str, old: str, new: str, value: str
) -> None:
    run(checkout, CALL_OUTER)
    edit(checkout / "spikesim" / file, old, new)
    assert run(checkout, CALL_OUTER) == value
    edit(checkout / "spikesim" / file, new, old)
    assert run(checkout, CALL_OUTER) == "50 1"  # the sources of before have their folder still


def test_change_of_what_was_not_compiled_in_keeps_the_code(checkout: Path) -> None:
    run(checkout, CALL_OUTER)
    edit(checkout / "spikesim" / "report.py", "'a'", "'b'")
    assert run(checkout, CALL_OUTER) == "50 1"


def test_change_of_rounding_is_seen_by_multiply(tmp_path: Path) -> None:
    """The fault as it was found, in the package itself."""
    shutil.copytree(PACKAGE, tmp_path / "spikesim", ignore=shutil.ignore_patterns("__pycache__"))
    script = """
import numpy as np
from spikesim.golden.pointwise import multiply
words, flags = np.full((1, 1, 1), 12, np.int32), np.ones((1, 1, 1), bool)
out, rest = np.zeros((1, 1, 1), np.int32), np.zeros((1, 1), np.int32)
multiply(out, words, words, rest, flags, rest, False, False, False, 0, 2, 1 << 30, 0)
print(out[0, 0, 0])
"""
    assert run(tmp_path, script) == "3"
    edit(
        tmp_path / "spikesim" / "golden" / "arithmetic.py",
        "np.int64(shift), half - 1,",
        "np.int64(shift), half - 1 + 400,",
    )
    assert run(tmp_path, script) == "103"


def test_checked_bounds_are_another_code(checkout: Path) -> None:
    """NUMBA_BOUNDSCHECK must not find the code without checks, nor leave its own to a run without."""
    assert run(checkout, CALL_THIRD) == "5"
    assert run(checkout, CALL_THIRD, NUMBA_BOUNDSCHECK="1") == "refused"
    assert run(checkout, CALL_THIRD) == "5"


def test_number_of_threads_is_no_other_code(checkout: Path) -> None:
    run(checkout, CALL_OUTER, NUMBA_NUM_THREADS="1")
    assert run(checkout, CALL_OUTER, NUMBA_NUM_THREADS="2") == "50 1"


def test_nothing_is_compiled_if_numba_is_told_so(checkout: Path) -> None:
    assert run(checkout, "from spikesim.outer import outer\nprint(outer(4))", NUMBA_DISABLE_JIT="1") == "50"


def test_where_code_lies(checkout: Path) -> None:
    """Beside the sources; where that is forbidden, among the user's caches; or where numba was told."""
    run(checkout, CALL_OUTER)
    beside = checkout / "spikesim" / "support" / "__pycache__"
    assert code_files(checkout) == code_files(beside) != []
    shutil.rmtree(beside)
    beside.touch()  # a file: even the administrator can put nothing into it
    run(checkout, CALL_OUTER)
    assert code_files(checkout) == code_files(checkout / "home" / ".cache" / "spikesim") != []
    shutil.rmtree(checkout / "home")
    run(checkout, CALL_OUTER, SPIKESIM_CACHE=str(checkout / "mine"))
    assert code_files(checkout) == code_files(checkout / "mine") != []
    shutil.rmtree(checkout / "mine")
    run(checkout, CALL_OUTER, NUMBA_CACHE_DIR=str(checkout / "numba"))
    assert code_files(checkout) == code_files(checkout / "numba") != []


@tried(14, "a package and a home that are files in place of folders", "the right result; nothing is written")
def test_runs_uncached_where_nothing_can_be_written(checkout: Path) -> None:
    (checkout / "spikesim" / "support" / "__pycache__").touch()
    (checkout / "home").touch()
    before = sorted(checkout.rglob("*"))
    for _ in range(2):
        assert run(checkout, CALL_OUTER) == "50"
    assert sorted(checkout.rglob("*")) == before


def obey_modes() -> None:
    """Take away what lets the administrator write anywhere; it is gone in the next program."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@tried(14, "a read-only package and a read-only home", "the right result, compiled anew; nothing is written")
def test_runs_uncached_in_read_only_folders(checkout: Path) -> None:
    (checkout / "home").mkdir()
    folders = (checkout / "spikesim" / "support", checkout / "home")
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert run(checkout, CALL_OUTER, before=obey_modes) == "50"
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert code_files(checkout) == []


def compiled(folder: Path) -> Any:
    """A function of int64 whose code is kept in `folder`."""

    def double(x: int) -> int:
        return x * 2

    function: Any = numba.njit(nogil=True)(double)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_cache, "_folder", lambda _module: folder)
        function._cache = KernelCache(double)
    return function


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def _change_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _damaged(what: str, damage: Callable[[Path], object]) -> Any:
    row = tried(
        13, f"the index and the code of a compiled function, {what}", "it is compiled again, and kept"
    )
    return pytest.param(damage, marks=row, id=what)


@pytest.mark.parametrize(
    "damage",
    [
        _damaged("without the last byte", lambda file: file.write_bytes(file.read_bytes()[:-1])),
        _damaged("empty", lambda file: file.write_bytes(b"")),
        _damaged("with a byte changed in the middle", _change_byte),
        _damaged(
            "replaced by pickles of something else", lambda file: file.write_bytes(pickle.dumps([1]) * 2)
        ),
        _damaged(
            "replaced by 100 kB of noise",
            lambda file: file.write_bytes(np.random.default_rng(1).bytes(10**5)),
        ),
    ],
)
def test_damaged_file_is_made_anew(damage: Callable[[Path], object], tmp_path: Path) -> None:
    assert compiled(tmp_path / "a")(3) == 6
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in names:
        damage(tmp_path / "a" / name)
        again = compiled(tmp_path / "a")
        assert again(3) == 6
        assert hits(again) == 0
        third = compiled(tmp_path / "a")
        assert third(3) == 6
        assert hits(third) == 1
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda path: path.mkdir(),
            marks=tried(13, "a folder in place of compiled code", "it is compiled, not kept"),
        ),
        pytest.param(
            os.mkfifo,
            marks=tried(13, "a named pipe in place of compiled code", "it is not waited for; compiled again"),
        ),
        pytest.param(
            lambda path: path.symlink_to(path),
            marks=tried(13, "a link to itself in place of compiled code", "compiled again"),
        ),
    ],
    ids=["folder", "pipe", "link"],
)
def test_what_is_no_file_is_compiled(make: Callable[[Path], object], tmp_path: Path) -> None:
    assert compiled(tmp_path / "a")(3) == 6
    for file in list((tmp_path / "a").iterdir()):
        file.unlink()
        make(file)
        again = compiled(tmp_path / "a")
        assert again(3) == 6
        assert hits(again) == 0


@tried(13, "the code of a function for other types, under the name of this one's", "it is compiled, not run")
def test_code_for_other_types_is_not_run(tmp_path: Path) -> None:
    """As two processes leave it that compile at once: the index of one, the code of the other."""
    assert compiled(tmp_path / "whole")(3) == 6
    assert compiled(tmp_path / "real" / "whole")(2.5) == 5.0
    (code,) = code_files(tmp_path / "real")
    (ours,) = code_files(tmp_path / "whole")
    assert code.name == ours.name
    shutil.copy(code, ours)
    again = compiled(tmp_path / "whole")
    assert again(3) == 6
    assert hits(again) == 0


def test_disk_that_fills_up_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_paths: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert compiled(tmp_path / "a")(3) == 6
    assert list((tmp_path / "a").iterdir()) == []


def test_old_folders_are_removed_and_those_in_use_kept(tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(KEPT)]
    for age, name in enumerate(reversed(names)):
        compiled(tmp_path / name)(3)
        os.utime(tmp_path / name, ns=(0, (age + 1) * 10**9))
    oldest = compiled(tmp_path / names[-1])
    compiled(tmp_path / "new")(3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names[:-1], "new"]
    assert oldest(np.float64(3)) == 6.0  # a process that still runs with the removed folder makes it again
    assert code_files(tmp_path / names[-1]) != []


def test_folder_in_use_is_not_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "_root", lambda: tmp_path)
    look = kernel_cache._folder.__wrapped__
    folder = look("spikesim.support.jit")
    folder.mkdir(parents=True)
    os.utime(folder, ns=(0, 0))
    assert look("spikesim.support.jit") == folder
    assert folder.stat().st_mtime > 0


def test_functions_of_elsewhere_are_not_kept() -> None:
    """Their sources are unknown."""
    assert kernel_cache.kernel_cache(test_functions_of_elsewhere_are_not_kept) is None
