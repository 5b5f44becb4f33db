"""One run at a time, and what a killed one left: found, told apart from what is in use and from what is foreign."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from helpers.trees import tree
from helpers.tried import tried

from spikesim.errors import OutputError
from spikesim.support.claims import LOCK, claimed_folder, name_beside
from spikesim.support.files import MARKER, atomic_directory, atomic_file, write_text_atomic
from spikesim.support.temporary import PREFIX, kept, temporary_folder

WORK = """
import sys, time
from pathlib import Path
from spikesim.support.files import atomic_directory, atomic_file
from spikesim.support.temporary import temporary_folder
kind, path = sys.argv[1:]
opened = {
    "folder": lambda: atomic_directory(path),
    "file": lambda: atomic_file(path),
    "temporary": lambda: temporary_folder(),
}[kind]
with opened() as work:
    if kind == "file":
        work.write(b"half")
        work.flush()
    else:
        (work / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""


def at_work(kind: str, path: Path) -> subprocess.Popen[str]:
    """A process in the midst of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, kind, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(path.parent)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@tried(11, "a folder whose run was ended by SIGKILL", "the next run of the same output removes what is left")
def test_a_killed_run_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    target = tmp_path / "out"
    process = at_work("folder", target)
    with pytest.raises(OutputError, match="must be written by one run at a time"), atomic_directory(target):
        pytest.fail("the block must not run")
    kill(process)
    assert [path.name for path in tmp_path.iterdir()] == [name_beside(target).name]
    with atomic_directory(target) as folder:
        (folder / "report").write_text("whole")
    assert tree(tmp_path).keys() == {"out", "out/report", f"out/{MARKER}"}


@tried(11, "a file whose run was ended by SIGKILL", "the next run of the same output removes what is left")
def test_a_killed_run_leaves_no_file_to_the_next(tmp_path: Path) -> None:
    target = tmp_path / "out.npz"
    process = at_work("file", target)
    with pytest.raises(OutputError, match="must be written by one run at a time"):
        write_text_atomic(target, "x")
    kill(process)
    assert tree(tmp_path) == {name_beside(target).name: b"half"}
    write_text_atomic(target, "whole")
    assert tree(tmp_path) == {"out.npz": b"whole"}


@tried(
    11,
    "a temporary folder whose process was ended by SIGKILL",
    "the next run removes it, and none that is in use",
)
def test_a_killed_process_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = at_work("temporary", tmp_path / "any")
    (old,) = tmp_path.iterdir()
    with temporary_folder() as work:
        assert old.is_dir()
        assert work.parent.name.startswith(PREFIX)
    assert list(tmp_path.iterdir()) == [old]
    kill(process)
    assert old.is_dir()
    with temporary_folder():
        assert not old.exists()
    assert list(tmp_path.iterdir()) == []


@tried(11, "foreign folders in TMPDIR that are called like ours", "they stay")
def test_foreign_folders_in_the_temporary_one_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}12345678").mkdir(mode=0o700)
    (tmp_path / f"{PREFIX}12345678" / "thesis.tex").write_text("precious")
    (tmp_path / f"{PREFIX}results").mkdir()
    (tmp_path / "spikesim-demo").mkdir(mode=0o700)
    before = tree(tmp_path)
    with temporary_folder():
        pass
    assert tree(tmp_path) == before


def test_an_empty_temporary_folder_is_one_that_was_killed_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tempfile.mkdtemp(prefix=PREFIX)
    with temporary_folder():
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_kept_of_a_temporary_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as work:
        (work / "wave").write_text("x")
        folder = kept(work, "spikesim-verify-")
    with temporary_folder():
        pass
    assert tree(tmp_path) == {folder.name: None, f"{folder.name}/wave": b"x"}


@tried(
    11,
    "a run ended by SIGKILL between setting the earlier result aside and putting the new one in place",
    "put back",
)
def test_an_earlier_result_that_was_set_aside_is_put_back(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_directory(target) as folder:
        (folder / "report").write_text("old")
    old = tree(target)
    beside = name_beside(target)
    beside.mkdir()
    (beside / LOCK).touch()
    target.rename(beside / "replaced")
    with pytest.raises(OutputError, match="add --force"), atomic_directory(target, force=False):
        pytest.fail("the block must not run")
    assert tree(target) == old
    assert list(tmp_path.iterdir()) == [target]


@tried(9, "a folder of the user under the name that a run works under", "refused; the folder stays")
def test_a_foreign_folder_beside_the_output(tmp_path: Path) -> None:
    beside = name_beside(tmp_path / "out")
    beside.mkdir()
    (beside / "thesis.tex").write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="must be moved away"), atomic_directory(tmp_path / "out"):
        pytest.fail("the block must not run")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("goes_to", ["nowhere", "."])
@tried(9, "a link under the name that a run works under", "refused; what it leads to stays")
def test_a_link_beside_the_output(tmp_path: Path, goes_to: str) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    name_beside(tmp_path / "out").symlink_to(goes_to)
    before = tree(tmp_path)
    with pytest.raises(OutputError), atomic_directory(tmp_path / "out"):
        pytest.fail("the block must not run")
    name_beside(tmp_path / "out.npz").symlink_to("thesis.tex")
    with pytest.raises(OutputError):
        write_text_atomic(tmp_path / "out.npz", "x")
    name_beside(tmp_path / "out.npz").unlink()
    assert tree(tmp_path) == before


@tried(9, "two runs at once into one new folder", "one writes it, the other is refused")
def test_of_two_runs_at_once_one_wins(tmp_path: Path) -> None:
    """Threads stand for processes: a lock belongs to who opened the file."""
    for number in range(20):
        target, barrier, won = tmp_path / str(number), threading.Barrier(2), []

        def work(
            text: str, target: Path = target, barrier: threading.Barrier = barrier, won: list[str] = won
        ) -> None:
            barrier.wait()
            try:
                with atomic_directory(target, force=False) as folder:
                    (folder / "report").write_text(text)
            except OutputError:
                return
            won.append(text)

        threads = [threading.Thread(target=work, args=(text,)) for text in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = won
        assert tree(tmp_path) == {
            **{key: value for key, value in tree(tmp_path).items() if not key.startswith(str(number))},
            str(number): None,
            f"{number}/report": winner.encode(),
            f"{number}/{MARKER}": (target / MARKER).read_bytes(),
        }


@tried(
    9, "something that comes to the place of a new output while the run works", "it stays; the run is refused"
)
@pytest.mark.parametrize("come", ["result", "file", "empty"])
def test_what_came_first_stays(tmp_path: Path, come: str) -> None:
    target = tmp_path / "out"
    refusal = pytest.raises(OutputError) if come != "empty" else pytest.raises(ZeroDivisionError)
    with refusal:
        with atomic_directory(target) as folder:
            (folder / "report").write_text("second")
            target.write_text("first") if come == "file" else target.mkdir()
            if come == "result":
                (target / "report").write_text("first")
                (target / MARKER).write_text((MARKER_HEAD := _head(tmp_path)) + "\nreport\n")
                assert MARKER_HEAD
        assert tree(target)["report"] == b"second"
        raise ZeroDivisionError
    if come == "result":
        assert (target / "report").read_text() == "first"
    if come == "file":
        assert target.read_text() == "first"


def _head(folder: Path) -> str:
    with atomic_directory(folder / "another"):
        pass
    return (folder / "another" / MARKER).read_text().splitlines()[0]


@tried(
    9,
    "an earlier result that is changed while the run that will replace it works",
    "refused; the change stays",
)
def test_a_result_that_is_changed_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_directory(target) as folder:
        (folder / "report").write_text("old")
    with (
        pytest.raises(OutputError, match="must stay as it is while a run works on it"),
        atomic_directory(target) as folder,
    ):
        (folder / "report").write_text("new")
        (target / "report").write_text("old, with remarks")
    assert (target / "report").read_text() == "old, with remarks"


@tried(9, "a new file whose place is taken while the run works", "what came stays; the run is refused")
def test_a_file_that_came_first_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.npz"
    with pytest.raises(OutputError), atomic_file(target) as file:
        file.write(b"second")
        target.write_text("first")
    assert tree(tmp_path) == {"out.npz": b"first"}


@tried(9, "an output name as long as a name can be", "written")
def test_the_longest_name(tmp_path: Path) -> None:
    name = "ä" * 127
    with atomic_directory(tmp_path / name):
        pass
    write_text_atomic(tmp_path / f"{name}x", "x")
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}x"}


@tried(11, "a file system that has no locks", "written; what a killed run left there must be removed by hand")
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    target = tmp_path / "out"
    kill(at_work("folder", target))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutputError, match="must be removed before"), atomic_directory(target):
        pytest.fail("the block must not run")
    with atomic_directory(tmp_path / "other"):
        pass
    assert (tmp_path / "other").is_dir()


def test_a_claim_that_is_removed_while_another_waits_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner removes its folder just after the next run has opened the lock in it."""
    folder, flock = tmp_path / "folder", fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        (folder / LOCK).unlink()
        folder.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with claimed_folder(folder, tmp_path / "out"):
        assert (folder / LOCK).is_file()
    assert not list(tmp_path.iterdir())
