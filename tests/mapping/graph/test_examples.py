"""The example networks: read, mapped, and as good as their float models; and the data that they were trained on."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import digits_data
import measure_examples
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikesim.mapping.graph.weights import on_quantized_weights

SAMPLES = 60
DIGITS = tuple(name for name in measure_examples.EXAMPLES if name != "moving_lif")
ACCURACY = {
    "digits_mlp": 0.9825,
    "digits_cnn": 0.9825,
    "digits_yolo": 0.9675,
    "digits_attention": 0.98,
    "moving_lif": 0.9275,
}
"""Of the float model, on all samples, as README.md says."""


@cache
def measured(name: str, activation: str) -> measure_examples.Measured:
    return measure_examples.measured(name, activation, SAMPLES)


def snntorch_spikes(key: str) -> NDArray[np.uint8]:
    """uint8[steps, samples, classes], written by examples/networks/moving_lif.py."""
    with np.load(measure_examples.HERE / "moving_lif_snntorch.npz") as file:
        return np.unpackbits(file[key], -1, digits_data.CLASSES)


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("activation", measure_examples.ACTIVATIONS)
def test_integers_are_as_accurate_as_the_float_model(name: str, activation: str) -> None:
    found = measured(name, activation)
    difference = found.accuracy(found.integers) - found.accuracy(found.floats)
    assert abs(difference) <= 0.005
    assert found.accuracy(found.integers) >= 0.95


def test_integer_neurons_do_not_depend_on_the_coding_of_activations() -> None:
    for name in ("digits_yolo", "digits_attention"):
        one, other = (measured(name, activation).integers for activation in measure_examples.ACTIVATIONS)
        assert np.array_equal(one, other)


@pytest.mark.parametrize("activation", measure_examples.ACTIVATIONS)
def test_spikes_are_those_of_snntorch(activation: str) -> None:
    found = measured("moving_lif", activation)
    assert np.array_equal(found.integers, snntorch_spikes("spikes_quantized")[:, :SAMPLES])
    assert 0.02 < found.integers.mean() < 0.5


@pytest.mark.parametrize("key", ["spikes", "spikes_quantized"])
def test_the_graph_that_is_read_fires_as_snntorch_on_all_samples(key: str) -> None:
    graph = measure_examples.opened("moving_lif").source_graph
    x, _ = measure_examples.samples_of("moving_lif")
    if key == "spikes_quantized":
        graph = on_quantized_weights(graph)
    assert np.array_equal(measure_examples.float_scores(graph, x), snntorch_spikes(key))


@pytest.mark.parametrize("name", measure_examples.EXAMPLES)
def test_the_accuracy_of_the_float_model_is_what_the_page_says(name: str) -> None:
    x, labels = measure_examples.samples_of(name)
    with torch.no_grad():
        scores = measure_examples.float_scores(measure_examples.opened(name).source_graph, x)
    accuracy = float((scores.sum(0).argmax(1) == labels).mean())
    assert accuracy == pytest.approx(ACCURACY[name], abs=0.0026)  # a sample more or less, on another machine
    page = (measure_examples.HERE / "README.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"{100 * ACCURACY[name]:.2f} %" in row


@pytest.mark.parametrize("name", measure_examples.EXAMPLES)
def test_what_is_shipped_is_small(name: str) -> None:
    x, labels = measure_examples.samples_of(name)
    assert len(x) == len(labels) == digits_data.TEST >= 200
    assert set(labels) == set(range(digits_data.CLASSES))
    for path in (measure_examples.path_of(name), measure_examples.HERE / f"{name}.npz"):
        assert path.stat().st_size < 300_000
        assert b"/tmp/" not in path.read_bytes()
        assert b"/home/" not in path.read_bytes()


# The data.


def images(count: int = 50) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 17, (count, 8, 8)).astype(np.uint8)


def test_what_is_held_out_is_not_trained_on() -> None:
    some = images()
    some[40:] = some[:10]  # each of ten images twice
    parts = digits_data.divided(some, np.arange(50, dtype=np.uint8), test=20)
    held = {image.tobytes() for image in parts.test_x}
    assert len(parts.test_x) == len(parts.test_y) == 20
    assert not held & {image.tobytes() for image in parts.train_x}
    assert not set(parts.test_y) & set(parts.train_y)
    assert all(
        (some[label] == image).all() for image, label in zip(parts.train_x, parts.train_y, strict=True)
    )
    again = digits_data.divided(some, np.arange(50, dtype=np.uint8), test=20)
    assert np.array_equal(again.test_y, parts.test_y)


@pytest.mark.skipif(find_spec("sklearn") is None, reason="needs scikit-learn")
def test_what_is_shipped_is_what_is_held_out() -> None:
    parts = digits_data.split()
    assert len(parts.train_x) + len(parts.test_x) <= 1797
    for name in DIGITS:
        x, labels = measure_examples.samples_of(name)
        assert np.array_equal(x.reshape(-1, 8, 8), parts.test_x)
        assert np.array_equal(labels, parts.test_y)
    x, labels = measure_examples.samples_of("moving_lif")
    assert np.array_equal(x, digits_data.held_out_events(parts.test_x))
    assert np.array_equal(labels, parts.test_y)


def test_all_examples_have_the_same_digits() -> None:
    first, labels = measure_examples.samples_of(DIGITS[0])
    for name in DIGITS[1:]:
        x, others = measure_examples.samples_of(name)
        assert np.array_equal(x.reshape(-1), first.reshape(-1))
        assert np.array_equal(others, labels)
    assert np.array_equal(measure_examples.samples_of("moving_lif")[1], labels)


def test_shifted_images_move_by_at_most_a_pixel() -> None:
    some = images()
    moved = digits_data.shifted(some, np.random.default_rng(0))
    wide = np.pad(some, ((0, 0), (1, 1), (1, 1)))
    for n, image in enumerate(moved):
        assert any(
            (image == wide[n, row : row + 8, column : column + 8]).all()
            for row in range(3)
            for column in range(3)
        )
    assert (moved != some).any()


def test_digits_move_by_one_pixel_and_stay_on_the_canvas() -> None:
    places = digits_data.paths(300, np.random.default_rng(0))
    assert places.shape == (300, digits_data.STEPS + 1, 2)
    assert places.min() == 0
    assert places.max() == digits_data.CANVAS - digits_data.SIZE
    assert (np.abs(np.diff(places, axis=1)).max(-1) == 1).all()


def test_events_are_changes_of_pixels() -> None:
    """Against a plain drawing of every frame."""
    some, canvas = images(20), digits_data.CANVAS
    places = digits_data.paths(20, np.random.default_rng(5))
    events = digits_data.moving_events(some, np.random.default_rng(5))
    assert events.shape == (20, digits_data.STEPS, digits_data.FEATURES)
    assert events.dtype == np.uint8
    for sample in range(20):
        frames = np.zeros((digits_data.STEPS + 1, canvas, canvas), int)
        for step, (row, column) in enumerate(places[sample]):
            frames[step, row : row + 8, column : column + 8] = some[sample]
        for step in range(digits_data.STEPS):
            change = frames[step + 1] - frames[step]
            expected = np.concatenate([(change >= 4).ravel(), (change <= -4).ravel()])
            assert np.array_equal(events[sample, step], expected)


def test_scripts_can_be_imported_and_make_networks_of_the_shipped_shapes() -> None:
    import digits_attention
    import digits_cnn
    import digits_mlp
    import digits_yolo

    for network, name in (
        (digits_mlp.network, "digits_mlp"),
        (digits_cnn.Network, "digits_cnn"),
        (digits_yolo.Network, "digits_yolo"),
        (digits_attention.Network, "digits_attention"),
    ):
        x, _ = measure_examples.samples_of(name, 2)
        with torch.no_grad(), torch.random.fork_rng():
            assert network().eval()(torch.from_numpy(x[:, 0])).shape == (2, digits_data.CLASSES)
