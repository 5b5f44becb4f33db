"""Outputs are there whole or not at all, and nothing foreign is ever deleted."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from spikesim.errors import NumericError, OutputError
from spikesim.support.files import MARKER, atomic_directory, write_json_atomic, write_text_atomic


def write_result(target: Path, text: str = "result") -> None:
    with atomic_directory(target) as folder:
        (folder / "report.txt").write_text(text)
        (folder / "figures").mkdir()
        (folder / "figures" / "a.svg").write_text("<svg/>")


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


RESULT = {"report.txt", "figures", "figures/a.svg", MARKER}


def test_result_appears_whole_with_missing_parents(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out"
    with atomic_directory(target) as folder:
        (folder / "report.txt").write_text("x")
        assert not target.exists()
    assert everything_below(tmp_path / "a") == {"b", "b/out", "b/out/report.txt", f"b/out/{MARKER}"}


def test_folder_has_the_permissions_of_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write_result(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


def test_own_result_is_replaced_and_keeps_nothing_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_result(target)
    with atomic_directory(target) as folder:
        (folder / "other.txt").write_text("new")
    assert everything_below(tmp_path) == {"out", "out/other.txt", f"out/{MARKER}"}
    write_result(target)
    assert everything_below(target) == RESULT


def test_empty_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_result(tmp_path / "out")
    assert everything_below(tmp_path / "out") == RESULT


@pytest.mark.parametrize("name", ["notes.txt", "figures/mine.svg", "odd\nname"])
def test_foreign_file_in_own_result_is_never_deleted(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out"
    write_result(target, "old")
    (target / name).write_text("precious")
    with pytest.raises(
        OutputError, match="must be new, empty or an earlier result, not hold files of other origin"
    ):
        write_result(target, "new")
    assert (target / name).read_text() == "precious"
    assert (target / "report.txt").read_text() == "old"


@pytest.mark.parametrize("marker", [None, b"", b"something else\nphoto.jpg\n", b"\xff\xfe"])
def test_foreign_folder_is_refused_before_any_work(tmp_path: Path, marker: bytes | None) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    if marker is not None:
        (tmp_path / MARKER).write_bytes(marker)
    before = everything_below(tmp_path)
    with pytest.raises(OutputError, match="files of other origin"), atomic_directory(tmp_path):
        pytest.fail("the block must not run")
    assert everything_below(tmp_path) == before


def test_foreign_file_that_comes_while_the_work_goes_on_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_result(target, "old")
    with pytest.raises(OutputError, match=r"such as late\.txt"), atomic_directory(target):
        (target / "late.txt").write_text("precious")
    assert everything_below(tmp_path) == {"out", "out/late.txt", *(f"out/{name}" for name in RESULT)}


def test_line_break_in_a_name_cannot_widen_what_may_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_directory(target) as folder:
        (folder / "a\nprecious").write_text("x")
    (target / "precious").write_text("y")
    with pytest.raises(OutputError, match="such as precious"):
        write_result(target)
    (target / "precious").unlink()
    write_result(target)


def test_target_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(OutputError, match=r"out must be a folder, not a file$"):
        write_result(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "precious"


def test_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (Path(), tmp_path, tmp_path.parent):
        with pytest.raises(OutputError, match="must not be the current folder or above it"):
            write_result(target)


def test_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"must lie in a folder, not below the file .*file$"):
        write_result(tmp_path / "file" / "a" / "out")
    with pytest.raises(OutputError, match=r"must lie in a folder, not below the file .*file$"):
        write_json_atomic(tmp_path / "file" / "out.json", {})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no new folders")
@pytest.mark.parametrize("target", ["/proc/out", "/proc/a/b/out"])
def test_file_system_that_takes_no_folders(target: str) -> None:
    with pytest.raises(OutputError, match=rf"^cannot write {target}: "):
        write_result(Path(target))
    with pytest.raises(OutputError, match=rf"^cannot write {target}: "):
        write_text_atomic(target, "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
def test_read_only_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match=r"read-only$"):
            write_result(tmp_path / "out")
        with pytest.raises(OutputError, match=r"read-only$"):
            write_result(tmp_path / "a" / "out")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_read_only_reported_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    for target in (tmp_path / "out", tmp_path / "a" / "out"):
        with pytest.raises(OutputError, match=rf"^cannot write .*out: the folder {tmp_path} is read-only$"):
            write_result(target)
    assert everything_below(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_disk_that_fills_up_while_the_block_writes(tmp_path: Path) -> None:
    target = tmp_path / "made" / "out"
    with pytest.raises(OutputError, match=r"out: the disk is full"), atomic_directory(target) as folder:
        (folder / "weights").symlink_to("/dev/full")
        (folder / "weights").write_bytes(bytes(1 << 20))
    assert everything_below(tmp_path) == set()


def test_disk_that_is_full_when_data_is_flushed_leaves_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path / "out", "old")
    write_text_atomic(tmp_path / "out.json", "old")
    before = everything_below(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full; earlier output is unchanged"):
        write_result(tmp_path / "out", "new")
    with pytest.raises(OutputError, match="the disk is full; earlier output is unchanged"):
        write_text_atomic(tmp_path / "out.json", "new")
    assert everything_below(tmp_path) == before
    assert (tmp_path / "out" / "report.txt").read_text() == "old"
    assert (tmp_path / "out.json").read_text() == "old"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit, ValueError, RuntimeError])
def test_whatever_ends_the_block_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), atomic_directory(tmp_path / "a" / "out") as folder:
        (folder / "half").write_text("x")
        raise failure
    assert everything_below(tmp_path) == set()


def test_interrupt_between_the_two_renames_puts_the_old_result_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    write_result(target, "old")
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        moved = rename(self, to)
        if to.name == "replaced":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(target, "new")
    assert (target / "report.txt").read_text() == "old"
    assert everything_below(tmp_path) == {"out", *(f"out/{name}" for name in RESULT)}


def test_errors_of_the_block_with_another_cause_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_directory(tmp_path / "out"):
        (tmp_path / "no such checkpoint").read_text()
    assert everything_below(tmp_path) == set()


def test_linked_folder_is_replaced_where_it_really_is(tmp_path: Path) -> None:
    write_result(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    write_result(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.txt").read_text() == "new"


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OutputError, match=r"^cannot write "):
        write_result(tmp_path / "link")


def test_json_is_readable_and_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "summary.json"
    for value in ({"µm²": 1.5, "cycles": [1, 2]}, {"new": None}):
        write_json_atomic(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    assert path.read_text().endswith("}\n")
    assert everything_below(tmp_path) == {"deep", "deep/summary.json"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_it_cannot_express(tmp_path: Path, value: float) -> None:
    with pytest.raises(NumericError, match="must be finite"):
        write_json_atomic(tmp_path / "out.json", {"loss": value})
    assert everything_below(tmp_path) == set()


def test_text_is_not_written_over_a_folder_or_a_device(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="must be a file, not a folder"):
        write_text_atomic(tmp_path, "x")
    with pytest.raises(OutputError, match="must be a regular file"):
        write_text_atomic("/dev/null", "x")
    assert Path("/dev/null").is_char_device()
