"""Every command takes a network as it takes a language model; what it says is of frames and steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.micro_model import HARDWARE
from helpers.networks import CLASSES, SHAPE, SmallFrontEnd
from typer.testing import CliRunner

from spikesim import flow
from spikesim.cli.app import app


@pytest.fixture(autouse=True)
def front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "NETWORKS", (SmallFrontEnd(),))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.output


def samples(folder: Path, *front: int) -> Path:
    x = (np.random.default_rng(0).random((*front, *SHAPE)) < 0.3).astype(np.float32)
    np.savez(folder / "samples.npz", x=x, y=np.arange(front[0]) % CLASSES)
    return folder / "samples.npz"


@pytest.fixture(params=["frames", "steps"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A network and samples that lie beside it."""
    samples(tmp_path, *((20,) if request.param == "frames" else (20, 4)))
    return tmp_path / f"net.{request.param}"


def test_map_and_simulate_speak_of_frames_and_steps(network: Path, tmp_path: Path) -> None:
    kind = network.suffix.removeprefix(".")
    said = run("map", network, "-o", tmp_path / "out", "--samples", tmp_path / "samples.npz")
    what = "20 frames" if kind == "frames" else "20 samples of 4 steps"
    assert f"{network.name}, {what} (samples)" in said
    for words in (
        "Accuracy, integer",
        "20 labelled samples",
        "Same class",
        f"{kind.capitalize()} per second",
    ):
        assert words in said
    assert "token" not in said
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "token" not in page.lower()
    assert "1 × 2 × 3 × 3" in page
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["item"] == kind.removesuffix("s")
    said = run("simulate", tmp_path / "out", "--max-samples", 7, "-o", tmp_path / "again")
    assert what.replace("20", "7") in said
    assert "7 labelled samples" in said
    said = run("info", tmp_path / "out")
    assert "token" not in said


def test_without_samples_random_ones_run(network: Path, tmp_path: Path) -> None:
    said = run("map", network, "-o", tmp_path / "out")
    assert "(random samples)" in said
    assert "Samples were drawn at random" in said
    assert "Random samples" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--sequence-length", 4], "--sequence-length must not be given for a network, which runs samples"),
        (["--context", 4], "--context must not be given for a network, which has no caches"),
        (["--cached", 4], "--cached must not be given for a network"),
        (["--random-tokens", 4], "--random-tokens must not be given for a network"),
    ],
)
def test_options_of_language_models_are_refused_by_name(
    network: Path, tmp_path: Path, options: list[object], sentence: str
) -> None:
    assert sentence in " ".join(run("map", network, "-o", tmp_path / "out", *options, code=1).split())
    assert not (tmp_path / "out").exists()


def test_samples_do_not_go_with_tokens(network: Path, tmp_path: Path) -> None:
    said = run("map", network, "--samples", "x.npz", "--text", "x.txt", code=2)
    assert "one of --text and --samples" in " ".join(said.replace("│", " ").split())


def test_rtl_takes_a_mapping_and_the_network(network: Path, tmp_path: Path) -> None:
    run("map", network, "-o", tmp_path / "out", "--samples", tmp_path / "samples.npz")
    hardware = tmp_path / "small.toml"
    hardware.write_text(HARDWARE)
    for model in (network, tmp_path / "out"):
        run("rtl", model, "-o", tmp_path / "rtl", "--force", "--hardware", hardware)
    with_context = run("rtl", network, "-o", tmp_path / "rtl", "--force", "--context", 9, code=1)
    assert "--context must not be given for a network" in " ".join(with_context.split())


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 9, 5),
    )
    program = torch.export.export(module.eval(), (torch.zeros(1, 2, 6, 6),))
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def test_info_of_a_network(exported: Path) -> None:
    facts = json.loads(run("info", exported, "--json"))
    macs, parameters = (4 * 9 * 2 * 9, 36 * 5), (4 * 2 * 9 + 4, 36 * 5 + 5)
    known = {node["kind"]: node for node in facts["nodes"]}
    assert (known["conv"]["macs"], known["linear"]["macs"]) == macs
    assert (known["conv"]["parameters"], known["linear"]["parameters"]) == parameters
    assert known["conv"]["shape"] == [1, 4, 3, 3]
    assert facts["sizes"] == {
        "parameters": sum(parameters),
        "macs": sum(macs),
        "int8_weight_bytes": 4 * 2 * 9 + 36 * 5,
    }
    said = run("info", exported)
    for words in ("input 1 × 2 × 6 × 6, output 1 × 5", "conv", "1 × 4 × 3 × 3", "261"):
        assert words in said


def test_info_of_what_is_no_network(tmp_path: Path) -> None:
    for name in ("net.pt2", "net.nir"):
        (tmp_path / name).write_text("no network", encoding="utf-8")
        said = run("info", tmp_path / name, code=1)
        assert name in said
        assert "Traceback" not in said
