"""What the spikes of a network do, against a count by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import CLASSES, HIDDEN, SHAPE, WORDS, SmallFrontEnd, SmallNetwork

import spikesim
from spikesim import flow
from spikesim.hardware import HardwareConfig
from spikesim.report import write_report
from spikesim.results.activity import Activity
from spikesim.run.sample_files import sample_arrays
from spikesim.run.tokens import InputRequest


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "NETWORKS", (SmallFrontEnd(),))


def activity(folder: Path, kind: str, x: np.ndarray, coding: str = "signed_digit") -> Activity:
    folder.mkdir()
    found = flow.map_model(
        folder.parent / f"net.{kind}",
        output=folder,
        hardware=HardwareConfig().replace(**{"numerics.coding": coding}),
        request=InputRequest(samples=sample_arrays(x)),
    ).activity
    assert found is not None
    return found


def ones(words: np.ndarray) -> int:
    """Ones of the magnitudes."""
    return sum(int(word).bit_count() for word in np.abs(words.astype(int)).flat)


@pytest.mark.usefixtures("small")
def test_spikes_and_operations_of_a_spiking_network(tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((7, 5, *SHAPE)) < 0.1).astype(np.float32)
    x[:, 1] = 0
    spikes, _ = SmallNetwork(tmp_path, keeps_state=True).scores(x)
    found = activity(tmp_path / "out", "steps", x)
    first, second = found.by_layer
    items = 7 * 5
    # An input of 1 is the word 32: one event.
    assert first.spikes == x.sum() / items
    assert second.spikes == float(spikes.sum()) / items
    assert first.by_step == pytest.approx(x.sum((2, 3, 4, 5)).mean(0))
    assert second.by_step == pytest.approx(spikes.sum(2).mean(0).numpy())
    assert first.synaptic_operations == pytest.approx(first.spikes * HIDDEN)
    assert second.synaptic_operations == pytest.approx(second.spikes * CLASSES)
    assert (first.macs, second.macs) == (WORDS * HIDDEN, HIDDEN * CLASSES)
    assert (first.values, second.values) == (WORDS, HIDDEN)
    silent = [~x.reshape(items, -1).any(1), ~spikes.numpy().reshape(items, -1).any(1)]
    assert (first.windows, second.windows) == (1, 1)
    assert [first.silent_windows, second.silent_windows] == [each.mean() for each in silent]
    assert found.silent_windows == np.concatenate(silent).mean()
    assert first.silent_windows >= 0.2
    operations = x.sum() / items * HIDDEN + float(spikes.sum()) / items * CLASSES
    assert found.spiking_uj == pytest.approx(0.9e-6 * operations * 5)
    assert found.dense_uj == pytest.approx(4.6e-6 * (WORDS * HIDDEN + HIDDEN * CLASSES))
    assert found.items_per_sample == 5


@pytest.mark.usefixtures("small")
def test_membranes_reach_what_the_definition_says(tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((7, 5, *SHAPE)) < 0.4).astype(np.float32)
    network = SmallNetwork(tmp_path, keeps_state=True)
    (membrane,) = activity(tmp_path / "out", "steps", x).membranes
    v, reached = np.zeros((7, HIDDEN)), []
    for step in range(5):
        current = x[:, step].transpose(0, 1, 3, 4, 2).reshape(7, -1) @ network.first.T.astype(float)
        v = np.rint(v / 2) + 32 * current
        reached.append(v)
    assert (membrane.name, membrane.limit, membrane.saturated) == ("v", 2**20, 0)
    assert (membrane.minimum, membrane.maximum) == (np.min(reached), np.max(reached))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("coding", ["bitwise", "twos_complement", "ternary"])
def test_events_are_those_of_the_coding(tmp_path: Path, coding: str) -> None:
    x = np.random.default_rng(0).normal(0, 0.7, (9, *SHAPE)).astype(np.float32)
    words = np.clip(np.rint(x * 32), -127, 127).astype(int)
    expected = {
        "bitwise": ones(words),
        "ternary": int(np.abs(words).sum()),
        "twos_complement": ones(words & 255),
    }
    first, _ = activity(tmp_path / "out", "frames", x, coding).by_layer
    assert first.spikes == pytest.approx(expected[coding] / 9)
    assert first.by_step == ()


@pytest.mark.usefixtures("small")
def test_rasters_and_pictures_are_of_the_first_samples(tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((9, 3, *SHAPE)) < 0.4).astype(np.float32)
    found = activity(tmp_path / "out", "steps", x)
    first = 32 * x[0].transpose(0, 1, 3, 4, 2).reshape(3, -1)
    assert np.array_equal(found.rasters[0].counts, first)
    assert found.rasters[0].values == WORDS
    spikes, scores = SmallNetwork(tmp_path, keeps_state=True).scores(x)
    assert np.array_equal(found.rasters[1].counts, spikes[0])
    assert len(found.pictures) == 6
    for number, picture in enumerate(found.pictures):
        assert picture.integer == pytest.approx(scores[number].sum(0).numpy())
        assert picture.reference == pytest.approx(scores[number].sum(0).numpy())
        image = x[number].mean((0, 1, 2))
        assert np.allclose(picture.pixels, (image - image.min()) / np.ptp(image), atol=1e-3)


def test_a_convolution_counts_its_windows(tmp_path: Path) -> None:
    """Rows of the kernel at every position; the padding is part of windows, but is no value."""
    torch.manual_seed(0)
    module = torch.nn.Conv2d(2, 3, 3, padding=1)
    x = np.zeros((4, 2, 5, 6), np.float32)
    x[:, :, 2, 3] = 1
    report = spikesim.map_module(module, torch.zeros(1, 2, 5, 6), output=tmp_path, samples=x)
    found = report.activity
    assert found is not None
    (layer,) = found.by_layer
    assert layer.values == 2 * 5 * 6
    assert layer.spikes == 2
    assert layer.macs == 5 * 6 * 9 * 2 * 3
    assert layer.windows == 3 * 5 * 6
    # A pixel is in one row of the kernel for each of three rows of positions, at three columns each.
    assert layer.silent_windows == pytest.approx(1 - 9 / 90)
    assert layer.synaptic_operations == 2 * 9 * 3
    assert report.spikes.elements == 4 * 2 * 5 * 6
    assert report.spikes.silent == pytest.approx(1 - 1 / 30)


def test_a_network_without_matrices_has_no_spikes(tmp_path: Path) -> None:
    """Pooling, and depthwise convolutions, are products and sums of words."""
    x = np.random.default_rng(0).random((3, 2, 4, 4)).astype(np.float32)
    report = spikesim.map_module(torch.nn.MaxPool2d(2), torch.zeros(1, 2, 4, 4), output=tmp_path, samples=x)
    assert report.spikes.elements == 0
    assert report.spikes.by_layer == ()
    assert report.activity is not None
    assert (report.activity.spikes, report.activity.synaptic_operations, report.activity.macs) == (0, 0, 0)
    write_report(report, tmp_path)
