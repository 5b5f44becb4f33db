"""Arrays in the formats of safetensors and numpy, read back by the formats' own readers."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.trees import no_file_above, small_disk
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from safetensors.numpy import load_file

from spikesim.program.compiled import write_table
from spikesim.support.array_files import write_npy, write_raw, write_safetensors

KINDS = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
]
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays_of.arrays(
        kind, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)


@given(arrays=st.dictionaries(st.text(min_size=1, max_size=4), ARRAYS, max_size=5), turned=st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, NDArray[Any]], turned: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    given_ = {name: array.T if turned else array for name, array in arrays.items() if name != "__metadata__"}
    write_safetensors(path, given_)
    found = load_file(path)
    assert found.keys() == given_.keys()
    for name, array in given_.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@given(array=ARRAYS, turned=st.booleans())
def test_numpy_reads_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, array: NDArray[Any], turned: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npy"
    array = array.T if turned else array
    write_npy(path, array)
    found = np.load(path)
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    write_raw(path, array)
    assert path.read_bytes() == array.tobytes()


@tried(11, "arrays that are larger than a file may be (`ulimit -f`)", "the system's error, which says so")
@pytest.mark.parametrize("size", [0, 7, 100, 5000])
def test_a_limit_of_file_sizes_is_an_error_with_its_number(tmp_path: Path, size: int) -> None:
    array, path = np.zeros(5000, np.int16), tmp_path / "array"
    for write in (
        lambda: write_npy(path, array),
        lambda: write_raw(path, array),
        lambda: write_safetensors(path, {"array": array}),
    ):
        with no_file_above(size), pytest.raises(OSError, match="File too large") as caught:
            write()
        assert caught.value.errno == errno.EFBIG


@tried(11, "a disk that is full in the middle of the embedding", "the system's error; the process lives")
def test_a_full_disk_is_no_signal(tmp_path: Path) -> None:
    """A file that is mapped into memory would end this process with SIGBUS."""
    with (
        small_disk(tmp_path / "disk", "size=64k") as disk,
        pytest.raises(OSError, match="No space left") as caught,
    ):
        write_table(disk, np.zeros((10_000, 16), np.int16))
    assert caught.value.errno == errno.ENOSPC
