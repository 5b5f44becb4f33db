"""What a run says of words that did not fit: by place, in the report, on the page and on the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import changed
from helpers.programs import TINY, angles
from helpers.recount import Recount
from helpers.tried import tried
from typer.testing import CliRunner, Result

from spikesim.cli.app import app
from spikesim.flow import map_model, simulate_mapping
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.program.compiled import open_compiled
from spikesim.report.html import render
from spikesim.report.summary import facts
from spikesim.results.report import Report, SaturatedPlace
from spikesim.run.tokens import InputRequest

INT8 = HardwareConfig().replace(**{"numerics.activation": "int8"})
STRANGER = 200
"""A token that no calibration text holds."""

TOKENS = 24


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})


def _stranger(tensors: dict[str, torch.Tensor]) -> None:
    """Channel 0 of the first layer is `STRANGER`'s alone, and opens a unit that writes a million times what others do.

    No calibration without that token shows how large its values, its activations and the stream become.
    """
    embedding, layer = tensors["model.embeddings.weight"], "model.layers.0."
    embedding[:, 0] = 0
    embedding[STRANGER, 0] = 8 * embedding.std()
    tensors[f"{layer}attn.o_proj.weight"][0] = 0
    tensors[f"{layer}attn.v_proj.weight"][:, 0] = 100
    for name in ("gate", "up"):
        tensors[f"{layer}mlp.{name}_proj.weight"][:2] = 0
        tensors[f"{layer}mlp.{name}_proj.weight"][0] = 1
        tensors[f"{layer}mlp.{name}_proj.weight"][1, 0] = 300
    tensors[f"{layer}mlp.down_proj.weight"][:, 0] = 0
    tensors[f"{layer}mlp.down_proj.weight"][:, 1] = 1e5


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A mapping calibrated on text without `STRANGER`, run on text with it."""
    folder = tmp_path_factory.mktemp("strange")
    model = changed(folder / "model", TINY, _stranger)
    generator = np.random.default_rng(4)
    np.save(folder / "calibration.npy", generator.integers(0, STRANGER, 96))
    ids = generator.integers(0, STRANGER, TOKENS)
    ids[::3] = STRANGER
    np.save(folder / "tokens.npy", ids)
    (folder / "mapped").mkdir()
    report = map_model(
        model,
        output=folder / "mapped",
        hardware=INT8,
        request=InputRequest(tokens=folder / "tokens.npy"),
        calibration=folder / "calibration.npy",
    )
    return folder, report


def _places(report: Report, program: str) -> dict[str, SaturatedPlace]:
    assert report.saturation is not None
    rows = (*report.saturation.places, *report.saturation.windows)
    return {row.place: row for row in rows if row.program == program}


@tried(
    1,
    "a text that goes further than the calibration",
    "every place is reported with the count of an exact recount",
)
def test_every_place_has_the_count_of_an_exact_recount(strange: tuple[Path, Report]) -> None:
    folder, report = strange
    compiled, recount = open_compiled(folder / "mapped"), Recount()
    ids = np.load(folder / "tokens.npy")
    program = compiled.program("layer_00")
    turns = angles(open_checkpoint(folder / "model" / "model.pt").config, TOKENS, 1)
    Machine(program).run({"h": compiled.words(ids[:, None]), **turns}, [recount])
    instructions = list(program.instructions())
    expected = {
        instructions[number].writes()[0].name: (beyond, words)
        for number, (words, beyond) in recount.cut.items()
        if beyond
    }
    found = _places(report, "layer_00")
    assert {name: (row.saturated, row.words) for name, row in found.items()} == expected
    assert {"attn.v", "mlp.gate", "mlp.up", "mlp.act", "mlp", "h_out"} <= set(found)
    assert found["h_out"].limit == 2**31 - 1
    assert all(row.share == row.saturated / row.words for row in found.values())


@tried(1, "a residual stream that saturates", "the warning names program, place, count, words and limit")
def test_a_run_that_saturates_warns_of_its_worst_places(strange: tuple[Path, Report]) -> None:
    _, report = strange
    assert report.saturation is not None
    (warning,) = (text for text in report.warnings if "saturated" in text)
    worst = report.saturation.warned[0]
    assert (
        f"{worst.program} {worst.place} {worst.saturated:,} of {worst.words:,} at ±{worst.limit:,}" in warning
    )
    total = sum(row.saturated for row in report.saturation.warned)
    assert warning.startswith(f"{total:,} words saturated")
    assert report.saturation.saturated == sum(row.saturated for row in report.saturation.places)


@tried(1, "the page of a run that saturated", "a card, a banner and a table by place show it")
def test_the_page_shows_every_place(strange: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikesim.report.html.draw", lambda report: {})
    _, report = strange
    page = render(report)
    assert report.saturation is not None
    assert "Words that did not fit" in page
    for row in report.saturation.places:
        assert f"<th>{row.program}</th><td>{row.place}</td>" in page
        assert f'<td class="n">{row.saturated:,}</td><td class="n">{row.words:,}</td>' in page
    fact = next(fact for fact in facts(report) if fact.title == "Saturated words")
    assert report.saturation.places[0].place in fact.detail


@tried(
    1, "simulating a mapping on a text that it was not calibrated for", "the same counts and the same warning"
)
def test_simulate_counts_and_warns_as_map_does(strange: tuple[Path, Report], tmp_path: Path) -> None:
    folder, report = strange
    again = simulate_mapping(folder / "mapped")
    assert again.saturation == report.saturation
    assert [text for text in again.warnings if "saturated" in text] == [
        text for text in report.warnings if "saturated" in text
    ]
    result = run("simulate", folder / "mapped", "-o", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert "words saturated, too many to believe any figure" in result.stdout
    assert "Saturated words" in result.stdout
    written = json.loads((tmp_path / "again" / "report.json").read_text(encoding="utf-8"))
    assert report.saturation is not None
    assert written["saturation"] == report.saturation.model_dump(mode="json")


@tried(1, "a run in which every word fits", "the report and the terminal say that none saturated")
def test_no_saturation_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikesim.report.html.draw", lambda report: {})
    np.save(tmp_path / "calibration.npy", np.random.default_rng(1).integers(0, 256, 3000))
    (tmp_path / "mapped").mkdir()
    report = map_model(
        TINY,
        output=tmp_path / "mapped",
        hardware=INT8,
        request=InputRequest(random_tokens=8),
        calibration=tmp_path / "calibration.npy",
    )
    assert report.saturation is not None
    assert (report.saturation.saturated, report.saturation.share, report.saturation.places) == (0, 0.0, ())
    fact = next(fact for fact in facts(report) if fact.title == "Saturated words")
    assert fact.value == "none"
    assert re.search(r"No word of [\d,]+ saturated", render(report))


@tried(1, "counts cut to a small window that was asked for", "they are listed apart and are no warning")
def test_a_window_is_no_warning(tmp_path: Path) -> None:
    hardware = HardwareConfig().replace(**{"numerics.window": 2})
    report = map_model(TINY, output=tmp_path, hardware=hardware, request=InputRequest(random_tokens=16))
    saturation = report.saturation
    assert saturation is not None
    assert saturation.windows
    assert {row.limit for row in saturation.windows} == {3}
    assert max(row.share for row in saturation.windows) > 0.01
    assert not {row.place for row in saturation.places} & {row.place for row in saturation.windows}
    # Inputs of layers and spikes are the same population wherever both count them.
    clipped = {row.name + ".counts": row.clipped for row in report.spikes.by_input}
    listed: dict[str, int] = dict.fromkeys(clipped, 0)
    for row in saturation.windows:
        if row.place in listed and row.layer is not None:
            listed[row.place] += row.saturated
    assert listed == clipped
