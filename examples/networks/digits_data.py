"""Data of the example networks: scikit-learn's handwritten digits, and event streams of digits that move.

`split` needs scikit-learn, whose package holds the images (8 x 8 pixels, 0 ... 16, from the UCI repository); nothing
is downloaded. Everything else takes any images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 8
"""Pixels of a digit along each side."""
BRIGHTEST = 16
"""The largest pixel."""
CLASSES = 10
TEST = 400
"""Digits kept for measuring; no script trains on them."""

STEPS = 8
"""Of an event stream."""
CANVAS = 10
"""Pixels along each side of what a moving digit is seen on."""
CONTRAST = 4
"""The change of a pixel, of 16, that is an event."""
FEATURES = 2 * CANVAS * CANVAS
"""Of a step: pixels that became brighter, then pixels that became darker, each row by row."""

_SPLIT_SEED = 17
_TEST_EVENTS_SEED = 1700

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images uint8[samples, 8, 8] and labels uint8[samples], to train on and to measure with."""

    train_x: Bytes
    train_y: Bytes
    test_x: Bytes
    test_y: Bytes


def divided(images: Bytes, labels: Bytes, test: int = TEST) -> Split:
    """A random part for measuring, the same at every call; images that it has are not in the other part."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    held, rest = order[:test], order[test:]
    known = {images[n].tobytes() for n in held}
    rest = np.array([n for n in rest if images[n].tobytes() not in known], np.int64)
    return Split(train_x=images[rest], train_y=labels[rest], test_x=images[held], test_y=labels[held])


def split() -> Split:
    """scikit-learn's digits, divided."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return divided(data.images.astype(np.uint8), data.target.astype(np.uint8))


def shifted(images: Bytes, rng: np.random.Generator) -> Bytes:
    """Every image moved by at most a pixel along each axis, dark where nothing was: what training varies them by."""
    size = images.shape[-1]
    wide = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return _windows(wide, rng.integers(0, 3, (len(images), 2)), size)


def _windows(images: Bytes, corners: NDArray[np.int64], size: int) -> Bytes:
    """The square of every image that begins at its corner."""
    rows, columns = (corners[:, axis, None] + np.arange(size) for axis in (0, 1))
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def paths(samples: int, rng: np.random.Generator, steps: int = STEPS) -> NDArray[np.int64]:
    """int64[samples, steps + 1, 2]: where digits are on the canvas. Each moves by a pixel along one or both axes at
    every step, on most steps as at the step before; at the border it turns back."""
    room = CANVAS - SIZE
    moves = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
    place = rng.integers(0, room + 1, (samples, 2))
    move = moves[rng.integers(0, len(moves), samples)]
    found = [place]
    for _ in range(steps):
        anew = rng.random(samples) < 0.25
        move = np.where(anew[:, None], moves[rng.integers(0, len(moves), samples)], move)
        move = np.where((place + move < 0) | (place + move > room), -move, move)
        place = place + move
        found.append(place)
    return np.stack(found, 1)


def moving_events(images: Bytes, rng: np.random.Generator, steps: int = STEPS) -> Bytes:
    """Images as seen by an event camera while they move: uint8[samples, steps, FEATURES] of 0 and 1."""
    samples, room = len(images), CANVAS - SIZE
    places = paths(samples, rng, steps)
    wide = np.pad(images, ((0, 0), (room, room), (room, room)))
    frames = np.stack([_windows(wide, room - places[:, n], CANVAS) for n in range(steps + 1)], 1)
    change = np.diff(frames.astype(np.int16), axis=1)
    events = np.stack((change >= CONTRAST, change <= -CONTRAST), 2)
    return events.reshape(samples, steps, FEATURES).astype(np.uint8)


def held_out_events(images: Bytes) -> Bytes:
    """The streams that are shipped."""
    return moving_events(images, np.random.default_rng(_TEST_EVENTS_SEED))


def save_samples(path: Path, x: Bytes, y: Bytes) -> None:
    """What `spikesim map --samples` reads."""
    np.savez_compressed(path, x=x, y=y)
