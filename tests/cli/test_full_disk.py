"""Disks that take no more, whatever is written: one sentence, status 1, nothing left, the earlier result whole."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from helpers.micro_model import HARDWARE, micro_model
from helpers.trees import no_file_above, small_disk, tree
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.errors import OutputError
from spikesim.power_models.cache import ResultCache
from spikesim.support.files import atomic_directory
from spikesim.support.temporary import temporary_folder

MAP = ("--random-tokens", "8", "--sequence-length", "4")
SIZES = (0, 50, 400, 1500, 3000, 9000)
"""Bytes of the largest file: each stops another of the files of a mapping, of RTL or of a train."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_model(tmp_path_factory.mktemp("model") / "micro")


@pytest.fixture(scope="module")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hardware") / "small.toml"
    path.write_text(HARDWARE)
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of its own, in which nothing may be left."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second, and is tested elsewhere."""
    monkeypatch.setattr("spikesim.report.html.render", lambda _: "a page " * 20_000)


def run(*words: str | Path) -> tuple[int, str]:
    """Exit code, and what is said when it ends: one sentence."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.stderr.splitlines() if line.startswith("spikesim: ")]
    assert len(lines) == (result.exit_code != 0), result.stderr
    return result.exit_code, "".join(lines)


@pytest.mark.parametrize("size", SIZES)
@tried(
    11,
    "`map` with a limit of file sizes (`ulimit -f`) that each of its files meets",
    "one sentence; nothing is left",
)
def test_map_with_a_limit(model: Path, tmp_path: Path, size: int) -> None:
    with no_file_above(size):
        code, said = run("map", model, *MAP, "-o", tmp_path / "deep" / "out")
    assert code == 1
    assert "a file would be larger than the limit" in said
    assert tree(tmp_path) == {"tmp": None}


@pytest.mark.parametrize("size", [100, 3000])
@tried(11, "`map --force` onto an earlier result with a limit of file sizes", "the earlier result stays")
def test_a_replacement_with_a_limit(model: Path, tmp_path: Path, size: int) -> None:
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "report.html").write_text("old")
    before = tree(tmp_path)
    with no_file_above(size):
        code, said = run("map", model, *MAP, "-o", tmp_path / "out", "--force")
    assert code == 1
    assert "earlier output is unchanged" in said
    assert tree(tmp_path) == before


@tried(11, "`rtl` with a limit of file sizes, in TMPDIR", "one sentence; nothing is left")
def test_rtl_with_a_limit(hardware: Path, tmp_path: Path) -> None:
    with no_file_above(3000):
        code, said = run("rtl", "--hardware", hardware, "-o", tmp_path / "out")
    assert code == 1
    assert "limit" in said
    assert tree(tmp_path) == {"tmp": None}


@pytest.mark.parametrize("size", [0, 100, 700])
@tried(11, "`encode -o` with a limit of file sizes", "one sentence; nothing is left")
def test_encode_with_a_limit(tmp_path: Path, size: int) -> None:
    with no_file_above(size):
        code, said = run("encode", "1", "2", "3", "-o", tmp_path / "out.npz")
    assert code == 1
    assert "a file would be larger than the limit" in said
    assert tree(tmp_path) == {"tmp": None}


@tried(
    11,
    "`export` with a limit of file sizes, where HDF5 would crash",
    "one sentence; nothing is left",
)
def test_export_with_a_limit(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("nir")
    assert run("map", model, *MAP, "-o", tmp_path / "mapped")[0] == 0
    before = tree(tmp_path)
    for size in (0, 1000):
        with no_file_above(size):
            code, said = run("export", tmp_path / "mapped", "--target", "norse", "-o", tmp_path / "out")
        assert code == 1
        assert "a file would be larger than the limit" in said
        assert tree(tmp_path) == before


@tried(11, "`verify` with a limit of file sizes, in TMPDIR", "one sentence; nothing is left")
def test_verify_with_a_limit(model: Path, hardware: Path, tmp_path: Path) -> None:
    for size in (0, 3000):
        with no_file_above(size):
            code, said = run("verify", model, "--tokens", "1", "--core", "spiking", "--hardware", hardware)
        assert code == 1
        assert "TMPDIR names another" in said
        assert tree(tmp_path) == {"tmp": None}


@pytest.mark.parametrize("size", ["4k", "24k", "40k", "64k", "100k", "160k", "1m,nr_inodes=8"])
@tried(
    11,
    "`map` onto a disk that is full at each of its files, or out of inodes",
    "one sentence; nothing is left",
)
def test_map_onto_a_full_disk(model: Path, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", f"size={size}") as disk:
        code, said = run("map", model, *MAP, "-o", disk / "out")
        assert code == 1
        assert "the disk is full" in said
        assert tree(disk) == {}


@tried(11, "`map` onto a disk that is mounted read-only", "one sentence; nothing is left")
def test_map_onto_a_read_only_disk(model: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        code, said = run("map", model, *MAP, "-o", disk / "out")
        assert code == 1
        assert f"the folder {disk} is read-only" in said
        code, said = run("encode", "1", "-o", disk / "out.npz")
        assert code == 1
        assert f"the folder {disk} is read-only" in said


@tried(11, "`verify -o` onto a file system that runs no programs (noexec)", "one sentence; nothing is left")
def test_verify_onto_a_disk_that_runs_nothing(model: Path, hardware: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=50m,noexec") as disk:
        words = ("--tokens", "1", "--core", "spiking", "--hardware", hardware, "-o", disk / "out")
        code, said = run("verify", model, *words)
        assert code == 1
        assert "must lie on a file system that runs programs" in said
        assert tree(disk) == {}


@tried(
    11, "`rtl` and `verify` of a model with a full TMPDIR", "one sentence that names TMPDIR; nothing is left"
)
def test_a_full_temporary_folder(
    model: Path, hardware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", "size=16k") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        for words in (("rtl", model, "-o", tmp_path / "out"), ("verify", model, "--core", "spiking")):
            code, said = run(*words, "--tokens", "1", "--hardware", hardware)
            assert code == 1
            assert "the disk is full; TMPDIR names another" in said
            assert tree(disk) == {}
    assert not (tmp_path / "out").exists()


@tried(11, "no folder at all that takes temporary files", "one sentence that names TMPDIR")
def test_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path / "absent", Path("/proc")):
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with pytest.raises(OutputError, match="TMPDIR names another"), temporary_folder():
            pytest.fail("the block must not run")


@tried(11, "a cache on a full disk", "results are made and used, and none is kept")
def test_a_cache_that_is_full(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    with no_file_above(20):
        assert "larger than the limit" in cache.check()
        assert cache.get("kind", ["key"], lambda: list(range(100))) == list(range(100))
    assert tree(tmp_path) == {"tmp": None}
    assert cache.check() == ""
    assert cache.get("kind", ["key"], lambda: list(range(100))) == list(range(100))
    assert cache.get("kind", ["key"], lambda: pytest.fail("made again")) == list(range(100))


@tried(11, "a cache that is read-only", "results are made and used, and none is kept")
def test_a_cache_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        cache = ResultCache(disk / "cache")
        assert "is read-only; SPIKESIM_CACHE names another folder" in cache.check()
        assert cache.get("kind", ["key"], lambda: 5) == 5


@tried(11, "a cache whose entry another run is writing", "the result is made and used")
def test_a_cache_that_is_in_use(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")

    def make() -> int:
        assert cache.get("kind", ["key"], lambda: 5) == 5
        return 5

    assert cache.get("kind", ["key"], make) == 5
    assert len(list((tmp_path / "cache" / "kind").iterdir())) == 1


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert run("encode", "1", "-o", tmp_path / "out.npz")[0] == 0
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "out.npz")}
    assert len(modes) == 1
