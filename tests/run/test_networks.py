"""Networks that take samples: mapped, simulated again, on the samples that were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.networks import CLASSES, SHAPE, SmallFrontEnd, SmallNetwork

import spikesim
from spikesim import flow
from spikesim.errors import SpikesimError, TokenError
from spikesim.hardware import HardwareConfig
from spikesim.program.compiled import open_compiled
from spikesim.results.report import Report
from spikesim.run.sample_files import sample_arrays
from spikesim.run.tokens import InputRequest


@pytest.fixture(autouse=True)
def front_end(monkeypatch: pytest.MonkeyPatch) -> SmallFrontEnd:
    found = SmallFrontEnd()
    monkeypatch.setattr(flow, "NETWORKS", (found,))
    return found


def mapped(folder: Path, kind: str = "frames", calibration: Any = None, **request: Any) -> Report:
    folder.mkdir()
    return flow.map_model(
        folder.parent / f"net.{kind}",
        output=folder,
        hardware=HardwareConfig(),
        request=InputRequest(**request),
        calibration=calibration,
    )


def numbers(*front: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, (*front, *SHAPE)).astype(np.float32)


def spikes(*front: int, seed: int = 0) -> np.ndarray:
    """Numbers of which input words are exact."""
    return (np.random.default_rng(seed).random((*front, *SHAPE)) < 0.3).astype(np.float32)


def test_frames_are_scored_one_by_one(tmp_path: Path) -> None:
    x = numbers(40)
    _, scores = SmallNetwork(tmp_path, keeps_state=False).scores(x[:, None])
    y = scores[:, 0].argmax(-1).numpy()
    y[:4] = (y[:4] + 1) % CLASSES
    report = mapped(tmp_path / "out", samples=sample_arrays(x, y))
    fidelity = report.fidelity
    assert fidelity.accuracy is not None
    assert fidelity.accuracy.float_model == 0.9
    assert fidelity.accuracy.integer_model is not None
    assert 0.8 < fidelity.accuracy.integer_model <= 0.95
    assert (fidelity.labelled_samples, fidelity.compared_samples) == (40, 40)
    assert fidelity.class_agreement is not None
    assert fidelity.class_agreement > 0.9
    assert fidelity.scored_tokens == 0
    assert fidelity.perplexity is None
    assert [layer.layer for layer in fidelity.layer_cosine] == [0, 1]
    assert min(layer.cosine for layer in fidelity.layer_cosine) > 0.99
    found = report.input
    assert (found.kind, found.n_tokens, found.sequences, found.samples) == ("samples", 40, 1, 40)
    assert found.labelled
    assert found.context is None
    assert report.model.item == "frame"


def test_scores_of_steps_are_added_up(tmp_path: Path) -> None:
    x = spikes(30, 6)
    _, scores = SmallNetwork(tmp_path, keeps_state=True).scores(x)
    y = scores.sum(1).argmax(-1).numpy()
    report = mapped(tmp_path / "out", "steps", samples=sample_arrays(x, y))
    assert report.fidelity.accuracy is not None
    assert report.fidelity.accuracy.float_model == report.fidelity.accuracy.integer_model == 1
    assert [layer.minimum for layer in report.fidelity.layer_cosine] == pytest.approx([1, 1])
    assert (report.input.n_tokens, report.input.sequences, report.input.sequence_length) == (180, 30, 6)
    assert (report.input.samples, report.model.item) == (30, "step")


def test_every_sample_begins_with_state_of_zeros(tmp_path: Path) -> None:
    """The same sample twice gives the same words twice."""
    from spikesim.run.saved_tokens import mapped_tokens, words_of
    from spikesim.run.session import run_chain
    from spikesim.run.simulator import Simulator

    x = np.concatenate([spikes(1, 5), spikes(1, 5)])
    mapped(tmp_path / "out", "steps", samples=sample_arrays(x))
    compiled = open_compiled(tmp_path / "out")
    run = mapped_tokens(compiled, InputRequest())
    chain = compiled.chain()
    simulators = [Simulator(program, HardwareConfig(), 2) for program in chain.programs]
    out = run_chain(chain, simulators, words_of(compiled, run, run.ids.T))
    assert np.array_equal(out[:, 0], out[:, 1])
    _, scores = SmallNetwork(tmp_path, keeps_state=True).scores(x)
    assert np.array_equal(out.transpose(1, 0, 2), scores.numpy())


def test_a_mapping_keeps_samples_and_labels(tmp_path: Path) -> None:
    x = numbers(12)
    y = np.arange(12) % CLASSES
    report = mapped(tmp_path / "out", samples=sample_arrays(x, y))
    again = flow.simulate_mapping(tmp_path / "out")
    assert report.fidelity.accuracy is not None
    assert again.fidelity.accuracy is not None
    assert again.fidelity.accuracy.integer_model == report.fidelity.accuracy.integer_model
    assert again.fidelity.accuracy.float_model is None
    assert again.cycles.spiking == report.cycles.spiking
    fewer = flow.simulate_mapping(tmp_path / "out", request=InputRequest(max_samples=5))
    assert (fewer.input.n_tokens, fewer.input.samples, fewer.fidelity.labelled_samples) == (5, 5, 5)


@pytest.mark.parametrize("kind", ["frames", "steps"])
def test_other_samples_run_on_a_mapping(tmp_path: Path, kind: str) -> None:
    """By the rule that the mapping has, so that it makes no difference which samples it was made with."""
    front = (6,) if kind == "frames" else (6, 3)
    first, second = spikes(*front), spikes(*front, seed=1)
    y = np.zeros(6, int)
    mapped(tmp_path / "first", kind, samples=sample_arrays(first))
    expected = mapped(tmp_path / "second", kind, samples=sample_arrays(second, y))
    path = tmp_path / "second.npz"
    np.savez_compressed(path, x=second, y=y)
    found = flow.simulate_mapping(tmp_path / "first", request=InputRequest(samples=path))
    assert found.cycles == expected.cycles
    assert found.fidelity.accuracy is not None
    assert expected.fidelity.accuracy is not None
    assert found.fidelity.accuracy.integer_model == expected.fidelity.accuracy.integer_model
    assert found.input.name == str(path)


def test_numbers_beyond_the_words_are_counted(tmp_path: Path) -> None:
    x = spikes(3)
    x.flat[:7] = 9
    x.flat[7:10] = -100
    report = mapped(tmp_path / "out", samples=sample_arrays(x))
    assert report.input.saturated_numbers == 10
    assert "10 numbers of the samples" in report.input.note


def test_random_samples_are_said_to_be(tmp_path: Path) -> None:
    report = mapped(tmp_path / "out")
    assert (report.input.kind, report.input.samples, report.input.seed) == ("random samples", 16, 0)
    assert "drawn at random" in report.input.note
    again = mapped(tmp_path / "again")
    other = mapped(tmp_path / "other", seed=1, max_samples=3)
    assert again.cycles == report.cycles
    assert other.input.samples == 3
    steps = mapped(tmp_path / "steps", "steps")
    assert (steps.input.sequences, steps.input.sequence_length) == (16, 8)


def test_calibration_is_of_the_samples_or_of_a_file(tmp_path: Path, front_end: SmallFrontEnd) -> None:
    x, other = numbers(4), numbers(9, seed=3)
    report = mapped(tmp_path / "own", samples=sample_arrays(x))
    assert report.quantisation["calibration"] == "ranges from the evaluated samples themselves"
    np.save(tmp_path / "other.npy", other)
    report = mapped(tmp_path / "out", samples=sample_arrays(x), calibration=tmp_path / "other.npy")
    assert report.quantisation["calibration"] == f"ranges from {tmp_path / 'other.npy'}, 9 samples"
    assert front_end.opened is not None
    assert np.array_equal(front_end.opened.calibrated, other[:, None])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tokens": Path("t.npy")}, "--tokens must not be given for a network, which runs samples"),
        ({"text": Path("t.txt")}, "--text must not be given for a network"),
        ({"random_tokens": 4}, "--random-tokens must not be given for a network"),
        ({"sequence_length": 4}, "--sequence-length must not be given for a network"),
        ({"max_tokens": 4}, "--max-tokens must not be given for a network"),
    ],
)
def test_what_is_for_language_models_is_refused(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(TokenError, match=sentence):
        mapped(tmp_path / "out", **settings)
    mapped(tmp_path / "good")
    with pytest.raises(TokenError, match=sentence):
        flow.simulate_mapping(tmp_path / "good", request=InputRequest(**settings))


def test_context_and_cached_tokens_are_refused(tmp_path: Path) -> None:
    for settings, name in (({"context": 9}, "--context"), ({"cached": 9}, "--cached")):
        with pytest.raises(SpikesimError, match=f"{name} must not be given for a network"):
            flow.map_model(
                tmp_path / "net.frames",
                output=tmp_path,
                hardware=HardwareConfig(),
                **settings,  # type: ignore[arg-type]
            )


def test_a_language_model_takes_no_samples(tmp_path: Path) -> None:
    from helpers.micro_model import micro_model

    model = micro_model(tmp_path / "model.pt")
    for settings in ({"samples": tmp_path / "x.npz"}, {"max_samples": 3}):
        with pytest.raises(TokenError, match="must not be given for a language model, which runs tokens"):
            flow.map_model(
                model,
                output=tmp_path,
                hardware=HardwareConfig(),
                request=InputRequest(**settings),  # type: ignore[arg-type]
            )
    (tmp_path / "out").mkdir()
    flow.map_model(model, output=tmp_path / "out", hardware=HardwareConfig())
    with pytest.raises(TokenError, match="--samples must not be given for a language model"):
        flow.simulate_mapping(tmp_path / "out", request=InputRequest(samples=tmp_path / "x.npz"))


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 5)
    )


class TestModules:
    """`map_module`: a module of torch, with the front end that exports go through."""

    @pytest.fixture(autouse=True)
    def front_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from spikesim.mapping.graph.frontend import GraphFrontEnd

        monkeypatch.setattr(flow, "NETWORKS", (GraphFrontEnd(),))

    def test_a_module_is_mapped(self, tmp_path: Path) -> None:
        module = network()
        x = torch.rand(30, 1, 6, 6)
        labels = module(x).argmax(-1)
        hardware = HardwareConfig().replace(**{"numerics.activation": "int8"})
        report = spikesim.map_module(module, x, output=tmp_path, samples=x, labels=labels, hardware=hardware)
        assert report.fidelity.accuracy is not None
        assert report.fidelity.accuracy.float_model == 1
        assert report.fidelity.class_agreement is not None
        assert report.fidelity.class_agreement > 0.9
        assert (report.model.input_shape, report.model.classes) == ((1, 1, 6, 6), 5)
        assert (tmp_path / "Sequential.pt2").exists()
        again = spikesim.simulate_mapping(tmp_path)
        assert again.cycles == report.cycles

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            (
                {"samples": torch.zeros(3, 1, 5, 5)},
                r"x must have the shape \[samples, 1, 1, 6, 6\], not \[3, 1, 5, 5\]",
            ),
            ({"samples": "x.npz"}, r"x.npz cannot be read"),
            ({"labels": [1]}, "labels must come with samples that are arrays"),
            ({"samples": object()}, "x must be samples of numbers, not"),
            ({"samples": np.array([None])}, "x must be samples of numbers, not"),
            ({"module": 3}, "module must be a torch.nn.Module, not 3"),
            ({"example_input": 3}, "example_input must be a tensor, not 3"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
        arguments = {"module": network(), "example_input": torch.zeros(1, 1, 6, 6), **given}
        with pytest.raises(SpikesimError, match=sentence):
            spikesim.map_module(output=tmp_path, **arguments)
