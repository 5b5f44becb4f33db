"""What is kept of synthesis and simulation is believed only as it was written; anything else is made anew."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.tried import tried

from spikesim.power_models.cache import ResultCache
from spikesim.support.seal import sealed

VALUE = {"numbers": list(range(1000))}


def kept(folder: Path) -> Path:
    """The file of the one document that is kept in a folder."""
    assert ResultCache(folder).get("kind", ["key"], lambda: VALUE) == VALUE
    (path,) = (folder / "kind").iterdir()
    return path


def _made(_value: Any = None) -> Any:
    pytest.fail("made although it is there")


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def _damaged(what: str, damage: Callable[[bytes], bytes]) -> Any:
    return pytest.param(
        damage, marks=tried(13, f"a kept result, {what}", "it is made anew, and kept"), id=what
    )


@pytest.mark.parametrize(
    "damage",
    [
        _damaged("empty", lambda _: b""),
        _damaged("cut in the middle", lambda content: content[: len(content) // 2]),
        _damaged("without its last byte", lambda content: content[:-1]),
        _damaged("with a byte changed", _flipped),
        _damaged("in another format", lambda _: b"no gzip"),
        _damaged("replaced by JSON of another form", lambda _: gzip.compress(b'{"other": 1}')),
        _damaged("replaced by half a JSON document", lambda _: gzip.compress(b'{"half": ')),
        _damaged("that unfolds into a gigabyte", lambda _: gzip.compress(bytes(2**20)) * 1024),
        _damaged("of deeply nested JSON", lambda _: gzip.compress(b"[" * 10**6)),
        _damaged("replaced by another kept result", lambda _: sealed(gzip.compress(b"1"), "of another name")),
    ],
)
def test_damaged_file_is_made_anew(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert ResultCache(tmp_path).get("kind", ["key"], lambda: VALUE) == VALUE
    assert path.read_bytes() == whole
    assert ResultCache(tmp_path).get("kind", ["key"], _made) == VALUE


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda path: (path / "inside").mkdir(parents=True),
            marks=tried(
                13, "a folder in place of a kept result", "the result is made, and the folder left alone"
            ),
        ),
        pytest.param(
            os.mkfifo,
            marks=tried(
                13, "a named pipe in place of a kept result", "it is not waited for; the result is made"
            ),
        ),
        pytest.param(
            lambda path: path.symlink_to(path),
            marks=tried(13, "a link to itself in place of a kept result", "the result is made"),
        ),
    ],
    ids=["folder", "pipe", "link"],
)
def test_what_is_no_file_is_no_error(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = kept(tmp_path)
    path.unlink()
    make(path)
    for _ in range(2):
        assert ResultCache(tmp_path).get("kind", ["key"], lambda: VALUE) == VALUE
    assert os.path.lexists(path)


@tried(13, "a file in place of the folder of kept results", "results are made, and not kept")
def test_cache_that_is_no_folder(tmp_path: Path) -> None:
    shutil.rmtree(kept(tmp_path).parent)
    (tmp_path / "kind").write_text("mine")
    assert ResultCache(tmp_path).get("kind", ["key"], lambda: VALUE) == VALUE
    assert (tmp_path / "kind").read_text() == "mine"


@tried(13, "a kept result under the name of another", "it is not believed")
def test_result_of_other_inputs_is_not_believed(tmp_path: Path) -> None:
    path = kept(tmp_path)
    assert ResultCache(tmp_path).get("kind", ["other"], lambda: 1) == 1
    (other,) = {*path.parent.iterdir()} - {path}
    shutil.copy(other, path)
    assert ResultCache(tmp_path).get("kind", ["key"], lambda: VALUE) == VALUE


def test_documents_are_json(tmp_path: Path) -> None:
    content = kept(tmp_path).read_bytes()
    assert json.loads(gzip.decompress(content[32:])) == VALUE
