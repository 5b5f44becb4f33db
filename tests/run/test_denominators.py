"""Every share names what it is a share of, and what nothing was measured for is absent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_up_report import made_up_report
from helpers.programs import TINY
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.flow import map_model, simulate_mapping
from spikesim.hardware import HardwareConfig
from spikesim.report.html import render
from spikesim.report.summary import NOTHING_SCORED, facts
from spikesim.results.report import Fidelity, Report
from spikesim.run.fidelity import Score
from spikesim.run.tokens import InputRequest

HARDWARE = HardwareConfig()


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A mapping and its report of sequences of one token each."""
    folder = tmp_path_factory.mktemp("single")
    request = InputRequest(random_tokens=6, sequence_length=1)
    return folder, map_model(TINY, output=folder, hardware=HARDWARE, request=request)


@tried(7, "sequences of one token", "agreement, perplexity, rise and cosines are absent")
def test_sequences_of_one_token_measure_nothing(single: tuple[Path, Report]) -> None:
    _, report = single
    assert (report.input.sequences, report.input.sequence_length) == (6, 1)
    assert report.fidelity == Fidelity()
    assert not any("better than the float model" in text for text in report.warnings)


@tried(7, "the summary and the page of sequences of one token", "they say that no token was scored")
def test_sequences_of_one_token_are_named(
    single: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikesim.report.html.draw", lambda report: {})
    _, report = single
    shown = {fact.title: (fact.value, fact.detail) for fact in facts(report)}
    assert shown["Bits per byte"] == ("–", NOTHING_SCORED)
    assert shown["Top-1 agreement"] == ("–", NOTHING_SCORED)
    page = render(report)
    assert "o token was scored" in page
    assert "no float model" not in page.lower()
    assert "100 %, 0" not in page


@tried(7, "simulating a mapping token by token", "no quality is claimed, and the reason is given")
def test_simulating_sequences_of_one_token(single: tuple[Path, Report]) -> None:
    folder, _ = single
    report = simulate_mapping(folder, request=InputRequest(random_tokens=5, sequence_length=1))
    assert report.fidelity == Fidelity()
    result = CliRunner().invoke(
        app, ["simulate", str(folder), "--sequence-length", "1"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    assert NOTHING_SCORED in result.stdout
    assert "0 tokens" not in result.stdout


@tried(7, "token ids of one token", "one sequence of it, nothing scored")
def test_one_token(single: tuple[Path, Report], tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("7")
    report = simulate_mapping(single[0], request=InputRequest(tokens=tmp_path / "one.txt"))
    assert report.input.n_tokens == 1
    assert report.fidelity == Fidelity()


@tried(
    7,
    "sequences of several tokens",
    "scored and compared tokens are counted apart, each beside its own figures",
)
def test_scored_and_compared_tokens_are_two_populations(tmp_path: Path) -> None:
    request = InputRequest(random_tokens=12, sequence_length=4)
    report = map_model(TINY, output=tmp_path, hardware=HARDWARE, request=request)
    assert report.fidelity.scored_tokens == 9
    assert report.fidelity.compared_tokens == 12
    assert report.fidelity.top1_agreement is not None
    assert report.fidelity.top1_agreement * 12 == pytest.approx(round(report.fidelity.top1_agreement * 12))
    detail = next(fact.detail for fact in facts(report) if fact.title == "Top-1 agreement")
    assert "12 tokens compared" in detail


@tried(7, "the share of clipped values on the terminal", "it names the values that it is a share of")
def test_shares_of_spikes_name_their_values() -> None:
    report = made_up_report()
    detail = next(fact.detail for fact in facts(report) if fact.title == "Spikes per value")
    assert "layer inputs" in detail
    assert "cut to the window" in detail


@tried(7, "the busy share of the array on the terminal", "it names the cycles that it is a share of")
def test_the_busy_share_names_its_cycles() -> None:
    detail = next(fact.detail for fact in facts(made_up_report()) if fact.title == "Cores used")
    assert "of its compute cycles" in detail


@tried(7, "the share of saturated words", "it stands beside the words that it is a share of")
def test_saturation_stands_beside_its_words(single: tuple[Path, Report]) -> None:
    _, report = single
    assert report.saturation is not None
    detail = next(fact.detail for fact in facts(report) if fact.title == "Saturated words")
    assert detail.startswith("of ")
    for row in report.saturation.places:
        assert row.share == row.saturated / row.words
    assert report.saturation.share == report.saturation.saturated / report.saturation.words


@tried(7, "an older report that counted no saturation", "read as before, and shown as not counted")
def test_a_report_without_saturation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikesim.report.html.draw", lambda report: {})
    old = made_up_report().model_dump(mode="json")
    del old["saturation"], old["fidelity"]["compared_tokens"], old["fidelity"]["increase_error_percent"]
    report = Report.model_validate(json.loads(json.dumps(old)))
    assert next(fact for fact in facts(report) if fact.title == "Saturated words").detail == "not counted"
    assert "Words that did not fit" not in render(report)


# A loss that is negative


def scored(shift: float, spread: float, tokens: int = 400) -> Fidelity:
    """Of an integer model whose every cross entropy is that of the float model and `shift` ± `spread`."""
    generator = np.random.default_rng(2)
    reference = 1.5 + generator.random(tokens)
    noise = generator.standard_normal(tokens)
    integer = reference + shift + spread * (noise - noise.mean()) / noise.std(ddof=1)
    score = Score()
    for part in np.array_split(np.arange(tokens), 3):
        logits = [
            torch.tensor(np.log(np.stack([np.exp(-x), 1 - np.exp(-x)], 1))) for x in (reference, integer)
        ]
        score.add(logits[0][part], logits[1][part], torch.zeros(part.size, dtype=torch.int64))
    return score.fidelity(is_bytes=False)


@tried(1, "an integer model better than its float model by more than noise", "flagged: no gain is claimed")
def test_a_loss_that_is_negative_beyond_noise_is_flagged() -> None:
    """The error is that of the paired difference, σ / √n; the figures of both models vary far more."""
    found = scored(-0.05, 0.1)
    assert found.perplexity is not None
    assert found.perplexity.float_model is not None
    mean = math.log(found.perplexity.float_model)
    assert found.increase_error_percent == pytest.approx(100 * 0.1 / math.sqrt(400) / mean, rel=1e-6)
    assert found.increase_percent == pytest.approx(-5 / mean, rel=1e-6)
    assert found.better_than_float
    report = made_up_report().model_copy(update={"fidelity": found})
    detail = next(fact.detail for fact in facts(report) if fact.title == "Perplexity, integer")
    assert "more than noise: not to be believed" in detail


@pytest.mark.parametrize(
    ("shift", "spread"),
    [
        pytest.param(-0.01, 0.1, marks=tried(1, "a negative loss of two standard errors", "no flag")),
        pytest.param(0.05, 0.1, marks=tried(1, "a loss that is one", "no flag")),
    ],
)
def test_noise_and_losses_are_not_flagged(shift: float, spread: float) -> None:
    assert not scored(shift, spread).better_than_float


@tried(7, "a single scored token", "its loss has no error, and is never flagged")
def test_one_scored_token_has_no_error() -> None:
    score = Score()
    score.add(torch.tensor([[0.0, 0.0]]), torch.tensor([[9.0, 0.0]]), torch.tensor([0]))
    found = score.fidelity(is_bytes=True)
    assert found.scored_tokens == 1
    assert found.increase_percent is not None
    assert found.increase_percent < 0
    assert found.increase_error_percent is None
    assert not found.better_than_float


@tried(1, "a run whose loss is negative beyond noise", "a warning says that it is no gain")
def test_the_flag_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = scored(-0.05, 0.1)
    monkeypatch.setattr(Score, "fidelity", lambda self, is_bytes: found)
    report = map_model(TINY, output=tmp_path, hardware=HARDWARE, request=InputRequest(random_tokens=8))
    assert any("better than the float model" in text and "no gain" in text for text in report.warnings)
