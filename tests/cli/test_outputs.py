"""Where every command may write: apart from what it reads, and never over what is not its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.micro_model import HARDWARE, micro_model
from helpers.trees import tree
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.support.files import MARKER, atomic_directory


def run(*words: str | Path) -> tuple[int, str]:
    """Exit code, and standard error on one line."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.stderr.split())


COMMANDS: dict[str, tuple[str, ...]] = {
    "map": ("map", "--random-tokens", "8", "--sequence-length", "4"),
    "simulate": ("simulate",),
    "compare": ("compare", "--quick", "--random-tokens", "4"),
    "verify": ("verify", "--tokens", "1", "--core", "spiking"),
    "rtl": ("rtl", "--tokens", "1"),
    "lava": ("lava", "--tokens", "1"),
    "export": ("export", "--target", "norse"),
}
"""Commands that write a folder, each with what makes it quick."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that was written by `atomic_directory`, and so could be replaced with --force."""
    return micro_model(tmp_path / "model")


def _inside(model: Path) -> Path:
    return model / "deep" / "out"


def _linked(model: Path) -> Path:
    (model.parent / "link").symlink_to(model, target_is_directory=True)
    return model.parent / "link"


def _spelt(model: Path) -> Path:
    return model.parent / "model" / ".." / "model"


def _behind_a_link(model: Path) -> Path:
    (model.parent / "link").symlink_to(model, target_is_directory=True)
    return model.parent / "link" / "out"


def _above(model: Path) -> Path:
    """A folder that looks like an earlier result and holds the model."""
    with atomic_directory(model.parent / "above") as folder:
        shutil.copytree(model, folder / "model")
    return model.parent / "above"


PLACES: dict[str, Callable[[Path], Path]] = {
    "the model itself": lambda model: model,
    "the model in another spelling": _spelt,
    "a link to the model": _linked,
    "a folder inside the model": _inside,
    "a folder inside the model, behind a link": _behind_a_link,
}


@pytest.mark.parametrize(
    ("command", "place"),
    [
        pytest.param(
            command,
            place,
            marks=tried(
                9, f"`{command} -o` with {place}, and `--force`", "refused; the model stays as it is"
            ),
        )
        for command in COMMANDS
        for place in PLACES
    ],
)
def test_an_output_that_is_the_input(command: str, place: str, model: Path) -> None:
    output = PLACES[place](model)
    before = tree(model.parent)
    name, *words = COMMANDS[command]
    code, said = run(name, model, *words, "-o", output, *("--force",))
    assert code == 1
    assert "which is read" in said
    assert tree(model.parent) == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command,
            marks=tried(
                9, f"`{command} -o` with a folder that holds the model", "refused; the folder stays as it is"
            ),
        )
        for command in COMMANDS
    ],
)
def test_an_output_that_holds_the_input(command: str, model: Path) -> None:
    above = _above(model)
    before = tree(model.parent)
    name, *words = COMMANDS[command]
    code, said = run(name, above / "model", *words, "-o", above, "--force")
    assert code == 1
    assert f"must not hold {above / 'model'}, which is read" in said
    assert tree(model.parent) == before


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(
            option,
            marks=tried(
                9, f"`map` with `{option}` from the earlier result that `-o` names", "refused; the file stays"
            ),
        )
        for option in ("--tokens", "--text", "--calibration", "--hardware")
    ],
)
def test_an_output_that_holds_another_input(option: str, model: Path, tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "file").write_text("1 2 3" if option != "--hardware" else HARDWARE)
    before = tree(tmp_path)
    code, said = run("map", model, option, tmp_path / "out" / "file", "-o", tmp_path / "out", "--force")
    assert code == 1
    assert "which is read" in said
    assert tree(tmp_path) == before


@tried(9, "`map -o` with the folder that the model's files are links into", "refused; the files stay")
def test_an_output_that_holds_what_a_model_links_to(model: Path, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for path in model.iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    before = tree(tmp_path)
    code, said = run("map", tmp_path / "snapshot", "-o", model, "--force")
    assert code == 1
    assert "must not hold" in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command,
            marks=tried(
                9,
                f"`{command} -o --force` with a folder of the user's own files",
                "refused; every file stays",
            ),
        )
        for command in COMMANDS
    ],
)
def test_a_folder_of_the_user(command: str, model: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "spiking" / "build").mkdir(parents=True)
    for name in ("spiking/build/thesis.tex", "spiking/spike_core.v", "report.html", ".spikesim-probe"):
        (mine / name).write_text("precious")
    before = tree(tmp_path)
    name, *words = COMMANDS[command]
    code, said = run(name, model, *words, "-o", mine, "--force")
    assert code == 1
    assert "not hold files of other origin" in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command,
            marks=tried(
                9, f"`{command} -o` with an earlier result, without `--force`", "refused; the result stays"
            ),
        )
        for command in COMMANDS
    ],
)
def test_an_earlier_result_without_force(command: str, model: Path, tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "report.html").write_text("days of work")
    before = tree(tmp_path)
    name, *words = COMMANDS[command]
    code, said = run(name, model, *words, "-o", tmp_path / "out")
    assert code == 1
    assert "add --force" in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command,
            marks=tried(
                9,
                f"`{command} -o` with a folder that another run is writing",
                "refused; the other run goes on",
            ),
        )
        for command in COMMANDS
    ],
)
def test_two_runs_into_one_folder(command: str, model: Path, tmp_path: Path) -> None:
    name, *words = COMMANDS[command]
    with atomic_directory(tmp_path / "out") as first:
        (first / "report.html").write_text("the first")
        code, said = run(name, model, *words, "-o", tmp_path / "out", "--force")
        assert code == 1
        assert "must be written by one run at a time" in said
    assert tree(tmp_path / "out").keys() == {"report.html", MARKER}


# verify, with cores that are not built


def _stub(monkeypatch: pytest.MonkeyPatch, *, agrees: bool) -> None:
    class Core:
        seconds = 0.0

        def __init__(self, _config: object, folder: Path) -> None:
            folder.mkdir()
            (folder / "spike_core.v").write_text("module")

        def binary(self) -> None:
            pass

    class Lockstep:
        def __init__(self, *arguments: object) -> None:
            self.folder = Path(str(arguments[-1]))

        def run(self, _words: object) -> SimpleNamespace:
            (self.folder / "run.vcd").write_text("wave")
            found = SimpleNamespace(
                tokens=1,
                agrees=agrees,
                values=1,
                instructions=1,
                cycles=1,
                counters=["one"],
                differing={} if agrees else {"values": 1},
                differences=[] if agrees else ["a word"],
            )
            wave = None if agrees else self.folder / "run.vcd"
            return SimpleNamespace(comparison=found, seconds={}, wave=wave)

    monkeypatch.setattr("spikesim.verify.lockstep.BuiltCore", Core)
    monkeypatch.setattr("spikesim.verify.lockstep.Lockstep", Lockstep)


@pytest.mark.parametrize("agrees", [True, False])
@tried(
    9,
    "`verify -o` with a new folder",
    "it appears whole, also with a difference; replaced on demand only",
)
def test_verify_keeps_what_it_is_asked_to(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    _stub(monkeypatch, agrees=agrees)
    words = ("verify", model, "--tokens", "1", "-o", tmp_path / "out")
    for more in ((), ("--force",)):
        result = CliRunner().invoke(app, [str(word) for word in (*words, *more)], env={"COLUMNS": "160"})
        assert result.exit_code == int(not agrees), result.output
        assert f"kept in {tmp_path / 'out'}" in result.stdout
        assert (f"waveform: {tmp_path / 'out' / 'dense' / 'run.vcd'}" in result.stdout) == (not agrees)
        assert {"spiking", "dense", "dense/spike_core.v", MARKER} <= tree(tmp_path / "out").keys()
        assert {path.name for path in tmp_path.iterdir()} == {"model", "out"}


@pytest.mark.parametrize("agrees", [True, False])
def test_verify_without_an_output_keeps_a_difference_only(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    _stub(monkeypatch, agrees=agrees)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    result = CliRunner().invoke(app, ["verify", str(model), "--tokens", "1", "--core", "spiking"])
    assert result.exit_code == int(not agrees), result.output
    folders = list((tmp_path / "tmp").iterdir())
    assert len(folders) == int(not agrees)
    for folder in folders:
        assert folder.name.startswith("spikesim-verify-")
        assert f"waveform: {folder / 'spiking' / 'run.vcd'}" in result.stdout
        assert (folder / "spiking" / "run.vcd").is_file()


# encode


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            b"precious",
            marks=tried(
                9, "`encode -o` with a file of the user that is no archive", "refused; the file stays"
            ),
        ),
        pytest.param(
            None,
            marks=tried(9, "`encode -o` with an `.npz` of the user's own arrays", "refused; the file stays"),
        ),
        pytest.param(
            b"", marks=tried(9, "`encode -o` with an empty file of the user", "refused; the file stays")
        ),
    ],
)
def test_encode_over_a_foreign_file(tmp_path: Path, content: bytes | None, force: tuple[str, ...]) -> None:
    path = tmp_path / "data.npz"
    if content is None:
        np.savez(path, bits=np.arange(3), measured=np.arange(4))
    else:
        path.write_bytes(content)
    before = tree(tmp_path)
    code, said = run("encode", "1", "2", "-o", path, *force)
    assert code == 1
    assert "not a file of other origin" in said
    assert tree(tmp_path) == before


@tried(9, "`encode -o` with an earlier train", "refused; with `--force` replaced")
def test_encode_over_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    assert run("encode", "1", "2", "-o", path)[0] == 0
    before = tree(tmp_path)
    code, said = run("encode", "3", "-o", path)
    assert code == 1
    assert "add --force" in said
    assert tree(tmp_path) == before
    assert run("encode", "3", "-o", path, "--force")[0] == 0
    with np.load(path) as saved:
        assert saved["shape"].tolist() == [1]
    assert run("encode", "0.5", "--int8", "-o", path, "--force")[0] == 0
    assert run("encode", "3", "-o", path, "--force")[0] == 0
    assert sorted(tree(tmp_path)) == ["train.npz"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            os.link, marks=tried(9, "`encode -o` with a hard link to its input", "refused; the input stays")
        ),
        pytest.param(
            os.symlink,
            marks=tried(9, "`encode -o` with a symbolic link to its input", "refused; the input stays"),
        ),
    ],
)
def test_encode_over_its_input(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    np.save(tmp_path / "x.npy", np.arange(5, dtype=np.int8))
    make(tmp_path / "x.npy", tmp_path / "y.npz")
    before = tree(tmp_path)
    code, said = run("encode", tmp_path / "x.npy", "-o", tmp_path / "y.npz", "--force")
    assert code == 1
    assert "must be another file than" in said
    assert tree(tmp_path) == before


@tried(9, "`encode -o` with a link to a foreign file elsewhere", "refused; link and file stay")
def test_encode_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    (tmp_path / "out.npz").symlink_to("thesis.tex")
    before = tree(tmp_path)
    assert run("encode", "1", "-o", tmp_path / "out.npz", "--force")[0] == 1
    assert tree(tmp_path) == before


@tried(9, "`encode -o` with a folder", "refused")
def test_encode_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.npz").mkdir()
    assert "must be a file, not a folder" in run("encode", "1", "-o", tmp_path / "out.npz", "--force")[1]
    assert sorted(tree(tmp_path)) == ["out.npz"]
