"""Every command with a name that is a command to shells and make, in every place for a name: nothing obeys it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.awkward import AWKWARD, CREATED, created
from helpers.micro_model import HARDWARE, micro_model
from helpers.places import CHECKOUT, VECTORS
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.tools import verilator

SHOWN = AWKWARD.replace("\n", "\\n")
"""On a line of the terminal."""


class Place:
    """A folder that everything lies in; the current folder and that of temporary files are called so too."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.here = root / AWKWARD
        self.here.mkdir()
        (root / f"tmp{AWKWARD}").mkdir()
        self.hardware = self.file("hardware.toml", HARDWARE)
        self.tokens = self.file("tokens.npy", None)
        np.save(self.tokens, np.arange(8, dtype=np.int32).reshape(2, 4))

    def file(self, name: str, text: str | None) -> Path:
        """A file with the awkward name before its own."""
        path = self.here / f"{AWKWARD}{name}"
        if text is not None:
            path.write_text(text)
        return path

    def run(self, *words: Any) -> str:
        """The output of a command that must succeed; nothing may have been obeyed."""
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "120"})
        assert result.exit_code == 0, (result.output, result.exception)
        assert not created(self.root, CHECKOUT / "spikesim")
        return result.stdout

    def refused(self, *words: Any) -> str:
        """The one sentence of a command that must fail."""
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "120"})
        assert result.exit_code == 1, (result.output, result.exception)
        assert not created(self.root, CHECKOUT / "spikesim")
        assert isinstance(result.exception, SystemExit)
        (line,) = result.stderr.splitlines()
        return line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = Place(tmp_path_factory.mktemp("names"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found.here)
        patch.setenv("TMPDIR", str(found.root / f"tmp{AWKWARD}"))
        patch.setattr(tempfile, "tempdir", None)
        yield found


@pytest.fixture(scope="module")
def model(place: Place) -> Path:
    return micro_model(place.here / f"{AWKWARD}.pt")


@pytest.fixture(scope="module")
def mapped(place: Place, model: Path) -> Path:
    """What `map` makes of the model, in a folder of the awkward name."""
    folder = place.here / AWKWARD
    inputs = ("--tokens", place.tokens, "--calibration", place.tokens, "--hardware", place.hardware)
    said = place.run("map", model, "-o", folder, *inputs)
    assert f"report: {folder}/report.html".replace("\n", "\\n") in said
    return folder


@tried(
    10,
    "`map`: model, output, tokens, calibration, hardware file, TMPDIR and current folder called as commands",
    "it maps, and runs nothing",
)
def test_map(place: Place, mapped: Path) -> None:
    page = (mapped / "report.html").read_text(encoding="utf-8")
    assert "<n" not in re.sub(r"<nav\b", "", page)  # a part of the name would be a tag
    assert CREATED in page


@tried(10, "`map` without `-o`, which takes the model's name", "the folder is called so, and nothing is run")
def test_default_output(place: Place, model: Path) -> None:
    place.run("map", model.name, "--random-tokens", "4", "--hardware", place.hardware.name)
    assert (place.here / f"{AWKWARD}-spikesim" / "report.html").is_file()


@tried(
    10,
    "`simulate`: mapping, output, tokens and hardware file called as commands",
    "it simulates, and runs nothing",
)
def test_simulate(place: Place, mapped: Path) -> None:
    place.run(
        "simulate", mapped, "-o", f"again{AWKWARD}", "--tokens", place.tokens, "--hardware", place.hardware
    )


@tried(10, "`info`: a model and a mapping called as commands", "they are described on lines of their own")
def test_info(place: Place, model: Path, mapped: Path) -> None:
    assert "layers" in place.run("info", model)
    (made_by,) = (line for line in place.run("info", mapped).splitlines() if line.startswith("made by: "))
    assert made_by.count(CREATED) >= 3


@tried(10, "`export`: model, output and hardware file called as commands", "it exports, and runs nothing")
def test_export(place: Place, model: Path) -> None:
    pytest.importorskip("nir")
    words = ("export", model, "--target", "norse", "-o", f"nir{AWKWARD}", "--hardware", place.hardware)
    assert SHOWN in place.run(*words)


@tried(10, "`encode`: input and output called as commands", "it encodes, and runs nothing")
def test_encode(place: Place) -> None:
    assert f"saved: {SHOWN}.npz" in place.run("encode", place.tokens, "-o", f"{AWKWARD}.npz")


@tried(
    10,
    "`compare`: a cell library called as a command that is none",
    "one sentence names it, and nothing is run",
)
def test_compare(place: Place, model: Path) -> None:
    library = place.file("cells.lib", "not a library")
    said = place.refused("compare", model, "-o", f"compared{AWKWARD}", "--liberty", library)
    assert CREATED in said


@tried(
    10,
    "`lava`: model, output and hardware file called as commands, in a folder of modules called as Python's own",
    "it runs, and nothing of that folder",
)
def test_lava(place: Place, model: Path) -> None:
    pytest.importorskip("scipy")
    (place.here / "json.py").write_text(f"open('{CREATED}', 'w')\n")
    words = ("--tokens", "1", "--programs", "head", "--hardware", place.hardware, "-o", f"lava{AWKWARD}")
    place.run("lava", model, *words)


@tried(
    10, "`rtl`: model, output and hardware file called as commands", "what it writes holds none of the names"
)
def test_rtl(place: Place, model: Path) -> None:
    place.run("rtl", model, "--tokens", "1", "--hardware", place.hardware)
    folder = place.here / f"{AWKWARD}-rtl"
    texts = [path for path in folder.rglob("*") if path.is_file()]
    assert {"bench.py", "bench.cpp", "spike_core.v", "manifest.json"} <= {path.name for path in texts}
    assert not [path for path in texts if CREATED.encode() in path.read_bytes()]


@tried(
    10,
    "`verify`: model, output and hardware file called as commands",
    "everything agrees, and nothing else is run",
)
def test_verify(place: Place, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "OPTIMISATION", ("OPT_FAST=-O0", "OPT_GLOBAL=-O0"))  # for one token
    folder = place.here / f"verified{AWKWARD}"
    words = ("--tokens", "2", "--core", "dense", "--hardware", place.hardware, "-o", folder)
    said = place.run("verify", model, *words)
    assert "counters agree" in said
    assert (folder / "dense" / "spike_core.v").is_file()


@tried(10, "a text and its model called as commands", "the model's tokenizer reads it, and nothing is run")
def test_text(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / AWKWARD
    folder.symlink_to(VECTORS / "tiny_dssa")
    text = place.file("text.txt", "some text")
    result = CliRunner().invoke(app, ["map", str(folder), "--text", str(text), "-o", str(tmp_path / "out")])
    assert result.exit_code in (0, 1)
    assert result.exit_code == 0 or len(result.stderr.splitlines()) == 1
    assert not created(place.root, tmp_path)
