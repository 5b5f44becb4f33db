"""Sample files, and what is said of those that are none."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tried import tried

from spikesim.errors import TokenError
from spikesim.run.sample_files import sample_arrays
from spikesim.run.samples import SampleSet, Taken, random_samples, read_samples

IMAGE = Taken(shape=(1, 2, 3, 4), keeps_state=False, classes=5)
STEPS = Taken(shape=(1, 6), keeps_state=True, classes=5)


def archive(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "s.npz", **arrays)
    return folder / "s.npz"


def images(*front: int) -> np.ndarray:
    return np.random.default_rng(0).random((*front, 2, 3, 4))


@pytest.mark.parametrize(
    ("taken", "shape", "steps"),
    [
        (IMAGE, (7, 2, 3, 4), 1),
        (IMAGE, (7, 1, 2, 3, 4), 1),
        (IMAGE, (7, 1, 1, 2, 3, 4), 1),
        (STEPS, (7, 6), 1),
        (STEPS, (7, 1, 6), 1),
        (STEPS, (7, 9, 6), 9),
        (STEPS, (7, 9, 1, 6), 9),
        (Taken(shape=(1,), keeps_state=True), (7,), 1),
        (Taken(shape=(1,), keeps_state=True), (7, 3), 3),
        (Taken(shape=(2, 1, 3), keeps_state=False), (7, 2, 1, 3), 1),
    ],
)
def test_axes_of_length_1_at_the_front_may_be_left_out(
    taken: Taken, shape: tuple[int, ...], steps: int
) -> None:
    x = np.arange(np.prod(shape)).reshape(shape)
    found = read_samples(sample_arrays(x), taken)
    assert found.numbers.shape == (7, steps, *taken.shape)
    assert found.numbers.dtype == np.float32
    assert np.array_equal(found.numbers.reshape(-1), x.reshape(-1))


@pytest.mark.parametrize("kind", ["f2", "f4", ">f8", "i1", "u1", ">i8", "?"])
def test_any_plain_numbers_will_do(tmp_path: Path, kind: str) -> None:
    x = (images(3) > 0.5).astype(kind)
    np.save(tmp_path / "x.npy", x)
    for path in (archive(tmp_path, x=x), tmp_path / "x.npy"):
        found = read_samples(path, IMAGE)
        assert np.array_equal(found.numbers[:, 0, 0], x.astype(np.float32))
        assert found.labels is None
        assert found.name == str(path)


def test_the_first_samples_are_enough(tmp_path: Path) -> None:
    path = archive(tmp_path, x=images(9), y=np.arange(9) % 5, other=np.array([None]))
    found = read_samples(path, IMAGE, 4)
    assert len(found.numbers) == 4
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 3]
    assert len(read_samples(path, IMAGE, 100).numbers) == 9


def test_compressed_archives_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "s.npz", x=images(3))
    assert len(read_samples(tmp_path / "s.npz", IMAGE).numbers) == 3


def test_random_samples_follow_from_the_seed() -> None:
    frames, steps = random_samples(IMAGE, 50, 3), random_samples(STEPS, 50, 3)
    assert frames.numbers.shape == (50, 1, 1, 2, 3, 4)
    assert 0 <= frames.numbers.min() < 0.05
    assert 0.95 < frames.numbers.max() < 1
    assert steps.numbers.shape == (50, 8, 1, 6)
    assert set(np.unique(steps.numbers)) == {0, 1}
    assert 0.05 < steps.numbers.mean() < 0.15
    assert np.array_equal(frames.numbers, random_samples(IMAGE, 50, 3).numbers)
    assert not np.array_equal(frames.numbers, random_samples(IMAGE, 50, 4).numbers)


def test_words_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikesim.program.compiled import Samples
    from spikesim.program.ports import Format, Port
    from spikesim.run import samples

    given = SampleSet(numbers=(images(9) * 20).astype(np.float32).reshape(9, 1, 1, 2, 3, 4))
    host = Samples(items=9, shape=(1, 2, 3, 4), axes=(0, 2, 3, 1), steps=1)
    port = Port(name="x", format=Format(fraction=3, bits=8), shape=(24,))
    run, table = given.tokens(host, port, keeps_state=False)
    monkeypatch.setattr(samples, "_BLOCK_NUMBERS", 50)
    again, other = given.tokens(host, port, keeps_state=False)
    assert np.array_equal(table, other)
    assert run.origin == again.origin
    exact = np.rint(given.numbers[:, 0, 0].astype(float) * 8)
    assert np.array_equal(table, np.clip(exact, -127, 127).transpose(0, 2, 3, 1).reshape(9, 24))
    assert run.origin.saturated == (np.abs(exact) > 127).sum() > 0
    assert run.ids.tolist() == [list(range(9))]


def bad(what: str, sentence: str, **arrays: Any) -> Any:
    marks = tried(5, what, "one sentence says what is wrong")
    return pytest.param(arrays, sentence, id=what, marks=marks)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        bad(
            "a sample file of Python objects",
            "x of .* must be samples of numbers, not of Python objects",
            x=np.array([None, 1], object),
        ),
        bad("a sample file of texts", "x of .* must be samples of numbers, not of text", x=np.array(["a"])),
        bad(
            "a sample file of complex numbers",
            "x of .* must be samples of numbers, not of complex",
            x=images(2) * 1j,
        ),
        bad(
            "a sample file without x",
            r"s\.npz must hold an array x, not 'images', 'y'",
            images=images(2),
            y=[1, 2],
        ),
        bad(
            "a sample file with a NaN",
            "x of .* must be finite numbers that float32 holds",
            x=images(2) * np.nan,
        ),
        bad(
            "a sample file with a number beyond float32",
            "x of .* must be finite numbers",
            x=images(2) + 1e300,
        ),
        bad(
            "samples of another shape",
            r"x of .* must have the shape \[samples, 1, 2, 3, 4\], not \[5, 3, 2, 4\]",
            x=np.zeros((5, 3, 2, 4)),
        ),
        bad(
            "samples with an axis too many",
            r"must have the shape .*, not \[5, 7, 1, 2, 2, 3, 4\]",
            x=np.zeros((5, 7, 1, 2, 2, 3, 4)),
        ),
        bad("one number in place of samples", r"must have the shape .*, not \[\]", x=np.float32(3)),
        bad(
            "one sample without the axis of samples",
            r"must have the shape .*, not \[2, 3, 4\]",
            x=np.zeros((2, 3, 4)),
        ),
        bad(
            "no sample at all", r"must hold at least one sample, not be of shape \[0, 2, 3, 4\]", x=images(0)
        ),
        bad(
            "samples of several steps for a network without state",
            "must have one step a sample, not 6 .* keeps no state",
            x=images(5, 6),
        ),
        bad(
            "more labels than samples",
            r"y of .* must be a class for each of the samples, \[5\], not of shape \[6\]",
            x=images(5),
            y=[0] * 6,
        ),
        bad(
            "labels one hot",
            r"y of .* must be a class for each .* not of shape \[5, 5\]",
            x=images(5),
            y=np.eye(5, dtype=int),
        ),
        bad(
            "labels that are no whole numbers",
            "y of .* must be classes as whole numbers, not of real numbers",
            x=images(2),
            y=[0.0, 1.0],
        ),
        bad(
            "a label beyond the classes of the network",
            r"y of .* must be classes in 0 … 4, not 5",
            x=images(2),
            y=[0, 5],
        ),
        bad("a label below 0", r"y of .* must be classes in 0 … 4, not -1", x=images(2), y=[0, -1]),
        bad(
            "a label of 64 bits",
            r"y of .* must be classes in 0 … 4, not 18446744073709551615",
            x=images(2),
            y=np.array([0, 2**64 - 1], np.uint64),
        ),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TokenError, match=sentence) as raised:
        read_samples(archive(tmp_path, **arrays), IMAGE)
    assert "\n" not in str(raised.value)


def test_a_step_axis_is_named_for_a_network_with_state(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"must have the shape \[samples, steps, 1, 6\], not \[3, 5\]"):
        read_samples(archive(tmp_path, x=np.zeros((3, 5))), STEPS)


def _text(path: Path) -> None:
    path.write_text("1 2 3", encoding="utf-8")


def _pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04K\x01.")


def _cut(path: Path) -> None:
    archive(path.parent, x=images(3))
    path.write_bytes(path.read_bytes()[:300])


def _no_array(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", b"no array")


def _false_header(path: Path) -> None:
    archive(path.parent, x=images(3))
    content = zipfile.ZipFile(path).read("x.npy").replace(b"(3, 2, 3, 4)", b"(9, 2, 3, 4)")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", content)


def _encrypted(path: Path) -> None:
    archive(path.parent, x=images(3))
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(make, sentence, id=what, marks=tried(5, f"{what} as a sample file", "one sentence"))
        for what, make, sentence in (
            ("a text", _text, "must be a .npz archive of x and y, or a .npy array of x"),
            ("a pickle", _pickle, "not a pickle"),
            ("an archive that was cut", _cut, "must be a .npz archive of x and y"),
            (
                "an archive of something else",
                _no_array,
                "x of .* must be samples of numbers, not a file that",
            ),
            ("an array with a false header", _false_header, "must hold the array of shape"),
            ("an encrypted archive", _encrypted, "must be a .npz archive of x and y .*encrypted"),
            ("a folder", _folder, "a regular file, not a folder"),
            ("a pipe", _pipe, "a regular file, not a pipe"),
            ("a file that is not there", lambda path: None, "cannot be read"),
        )
    ],
)
def test_what_is_no_sample_file(tmp_path: Path, make: Any, sentence: str) -> None:
    path = tmp_path / "s.npz"
    make(path)
    with pytest.raises(TokenError, match=sentence) as raised:
        read_samples(path, IMAGE)
    assert "\n" not in str(raised.value)


@tried(5, "an archive that unpacks to more than memory holds as a sample file", "it is refused by its limit")
def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikesim.support import npy

    monkeypatch.setattr(npy, "_LIMIT", 10_000)
    np.savez_compressed(tmp_path / "s.npz", x=np.zeros((500, 2, 3, 4)))
    with pytest.raises(TokenError, match=r"x of .* of at most 10,000 bytes, not of more"):
        read_samples(tmp_path / "s.npz", IMAGE)
