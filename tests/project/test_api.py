"""Every public name of `spikesim`, given what it is not meant for: the right result, or one sentence."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.places import CHECKOUT
from helpers.programs import compiled_layer, small_config
from helpers.tried import tried

import spikesim
from spikesim.errors import SpikesimError
from spikesim.program import Program
from spikesim.spikes.digits import digits, encoder_planes, plane_weights, steps_for
from spikesim.spikes.events import event_statistics
from spikesim.spikes.matmul import spike_matmul
from spikesim.spikes.quantise import quantize_weight

MODEL = CHECKOUT / "examples" / "tiny_dssa"
HARDWARE = spikesim.HardwareConfig()
WORDS = np.zeros((1, 1), np.uint64)

Call = Callable[[Any], object]


def _train(**fields: Any) -> object:
    given = {"coding": "bitwise", "shape": (1,), "steps": 1, "bits": WORDS, "signs": WORDS}
    train = spikesim.SpikeTrain(**{**given, **fields})
    return train.events(), train.decode(), train.n_spikes


def _map(folder: Path, **arguments: Any) -> object:
    given: dict[str, Any] = {"model": MODEL, "output": folder, "hardware": HARDWARE}
    given.update(arguments)
    return spikesim.map_model(given.pop("model"), **given)


def _map_module(folder: Path, **arguments: Any) -> object:
    given: dict[str, Any] = {
        "module": torch.nn.Linear(3, 2),
        "example_input": torch.zeros(1, 3),
        "output": folder,
    }
    given.update(arguments)
    return spikesim.map_module(given.pop("module"), given.pop("example_input"), **given)


def public_calls(folder: Path, program: Program) -> dict[str, list[Call]]:
    """By public name, its calls with one argument left open."""
    statistics = spikesim.SpikeStatistics
    return {
        "HardwareConfig": [
            lambda x: spikesim.HardwareConfig(array=x),
            lambda x: HARDWARE.replace(**{"array.lanes": x}),
            lambda x: HARDWARE.replace(**{"numerics.coding": x}),
            spikesim.HardwareConfig.from_toml,
        ],
        "Simulator": [
            lambda x: spikesim.Simulator(x, HARDWARE),
            lambda x: spikesim.Simulator(program, x),
            lambda x: spikesim.Simulator(program, HARDWARE, x),
            lambda x: spikesim.Simulator(program, HARDWARE).run(x),
            lambda x: spikesim.Simulator(program, HARDWARE).run({"h": x}),
        ],
        "SpikeStatistics": [
            lambda x: statistics.of(x).to_dict(),
            lambda x: statistics.of([1]).to_dict(x),
            lambda x: statistics(magnitudes=x, occurrences=[1, 2]).to_dict(),
            lambda x: statistics(magnitudes=[1, 2], occurrences=x).to_dict(),
        ],
        "SpikeTrain": [
            lambda x: _train(coding=x),
            lambda x: _train(shape=x),
            lambda x: _train(steps=x),
            lambda x: _train(bits=x),
            lambda x: _train(coding="ternary", bits=x),
            lambda x: _train(signs=x),
        ],
        "adaptive_threshold": [
            spikesim.adaptive_threshold,
            lambda x: spikesim.adaptive_threshold([1.0, 2.0], x),
            lambda x: spikesim.adaptive_threshold([1.0, 2.0], window=x),
        ],
        "encode": [
            spikesim.encode,
            lambda x: spikesim.encode(x, "ternary").events(),
            lambda x: spikesim.encode([1, 2], x),
            lambda x: spikesim.encode([1, 2], "bitwise", x),
        ],
        "int8_absmax": [
            spikesim.int8_absmax,
            lambda x: spikesim.int8_absmax([[1.0, 2.0]], x),
            lambda x: spikesim.int8_absmax([[1.0, 2.0]], scale=x),
        ],
        "load_model": [spikesim.load_model],
        "map_model": [
            lambda x: _map(folder, model=x),
            lambda x: _map(folder, output=x),
            lambda x: _map(folder, hardware=x),
            lambda x: _map(folder, request=x),
            lambda x: _map(folder, calibration=x),
            lambda x: _map(folder, command=x),
            lambda x: _map(folder, progress=x),
        ],
        "map_module": [
            lambda x: _map_module(folder, module=x),
            lambda x: _map_module(folder, example_input=x),
            lambda x: _map_module(folder, output=x),
            lambda x: _map_module(folder, hardware=x),
            lambda x: _map_module(folder, samples=x),
            lambda x: _map_module(folder, labels=x),
            lambda x: _map_module(folder, calibration=x),
            lambda x: _map_module(folder, seed=x),
            lambda x: _map_module(folder, progress=x),
        ],
        "simulate_mapping": [
            spikesim.simulate_mapping,
            lambda x: spikesim.simulate_mapping(folder, hardware=x),
            lambda x: spikesim.simulate_mapping(folder, request=x),
            lambda x: spikesim.simulate_mapping(folder, command=x),
        ],
        # Documented beside them.
        "digits": [
            lambda x: digits(x, "bitwise"),
            lambda x: digits([1], x),
            lambda x: digits([1], "bitwise", x),
        ],
        "encoder_planes": [lambda x: encoder_planes(x, "bitwise"), lambda x: encoder_planes(1, x)],
        "event_statistics": [
            lambda x: event_statistics(x, 2, "bitwise"),
            lambda x: event_statistics([[1, 2]], x, "bitwise"),
            lambda x: event_statistics([[1, 2]], 2, x),
            lambda x: event_statistics([[1, 2]], 2, "bitwise", scan=x),
            lambda x: event_statistics([[1, 2]], 2, "bitwise", skew=x),
            lambda x: event_statistics([[1, 2]], 2, "bitwise", lengths=x),
        ],
        "plane_weights": [lambda x: plane_weights("bitwise", x), lambda x: plane_weights(x, 3)],
        "quantize_weight": [
            quantize_weight,
            lambda x: quantize_weight([[1.0, 2.0]], x),
            lambda x: quantize_weight([[1.0, 2.0]], scale=x),
        ],
        "spike_matmul": [
            lambda x: spike_matmul(spikesim.encode([1, 2]), x),
            lambda x: spike_matmul(x, [[1]]),
        ],
        "steps_for": [lambda x: steps_for(x, "bitwise"), lambda x: steps_for(3, x)],
    }


class Lies:
    """Says that it becomes an array, and does something else."""

    def __init__(self, does: Any) -> None:
        self.does = does

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if isinstance(self.does, Exception):
            raise self.does
        return self.does


def _itself() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "12",
    "bytes": lambda: b"12",
    "an empty text": lambda: "",
    "a name with a null byte": lambda: "a\0b",
    "a whole number as a float": lambda: 2.0,
    "not a number": lambda: float("nan"),
    "an integer of 1,000 digits": lambda: 10**1000,
    "a negative number": lambda: -1,
    "a truth value": lambda: True,
    "a complex number": lambda: 1 + 2j,
    "a ragged list": lambda: [[1], [1, 2]],
    "a list that holds itself": _itself,
    "a list of texts": lambda: ["1", "2"],
    "an empty list": list,
    "a dictionary": lambda: {"a": 1},
    "a set": lambda: {1, 2},
    "a generator": lambda: (n for n in range(3)),
    "a function": lambda: len,
    "a date": lambda: datetime.date(2025, 1, 1),
    "an object array of integers": lambda: np.array([1, 2], object),
    "an object array of anything": lambda: np.array([1, "a", None], object),
    "a structured array": lambda: np.zeros(2, [("a", "i4")]),
    "an array of dates": lambda: np.array(["2025-01-01"], "M8[D]"),
    "an array of durations": lambda: np.array([1], "m8[s]"),
    "an array of infinities": lambda: np.array([np.inf, -np.inf]),
    "an array without elements": lambda: np.zeros((0, 3), np.int8),
    "an array of 60 axes": lambda: np.zeros((1,) * 60, np.int8),
    "a masked array": lambda: np.ma.array([1, 2], mask=[False, True]),
    "an object whose `__array__` raises": lambda: Lies(RuntimeError("no\nnumbers")),
    "an object whose `__array__` raises without a word": lambda: Lies(KeyError()),
    "an object whose `__array__` gives text": lambda: Lies("12"),
    "a sparse tensor": lambda: torch.eye(2, dtype=torch.int8).to_sparse(),
    "a tensor without data": lambda: torch.zeros(2, dtype=torch.int8, device="meta"),
    "a bfloat16 tensor": lambda: torch.ones(2, dtype=torch.bfloat16),
    "an FP8 tensor": lambda: torch.ones(2).to(torch.float8_e4m3fn),
    "a complex tensor": lambda: torch.ones(2) * 1j,
    "a tensor with gradients": lambda: torch.ones(2, requires_grad=True),
    "a tensor of several numbers in place of one": lambda: torch.ones(3, dtype=torch.int64),
}


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled_layer(small_config(), 0, HARDWARE).program


def test_every_public_name_is_tried(tmp_path: Path, program: Program) -> None:
    assert set(spikesim.__all__) - {"__version__"} <= set(public_calls(tmp_path, program))


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(
            make, id=what, marks=tried(15, f"{what}, as any argument", "the right result, or one sentence")
        )
        for what, make in ODD.items()
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_odd_arguments(
    odd: Callable[[], Any], tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "programs").touch()  # no folder to map into, and no mapping
    for name, calls in public_calls(tmp_path, program).items():
        for number, call in enumerate(calls):
            try:
                call(odd())
            except SpikesimError as error:
                sentence = str(error)
                assert "\n" not in sentence, (name, number)
                assert len(sentence) < 400, (name, number)
    assert os.listdir(tmp_path) == ["programs"]


# ------------------------------------------------------------------------------------- the same numbers otherwise

NUMBERS = np.array([[3, 0, 127], [1, 2, 5]], np.int8)


def _read_only() -> Any:
    array = NUMBERS.copy()
    array.flags.writeable = False
    return array


SAME: dict[str, Callable[[], Any]] = {
    "a read-only array": _read_only,
    "an array that runs backwards": lambda: NUMBERS[::-1, ::-1].copy()[::-1, ::-1],
    "an array with gaps": lambda: np.repeat(NUMBERS, 3, axis=1)[:, ::3],
    "an array in the order of columns": lambda: np.asfortranarray(NUMBERS),
    "an array of another byte order": lambda: NUMBERS.astype(">i8"),
    "unsigned 64-bit numbers": lambda: NUMBERS.astype(np.uint64),
    "a masked array of which nothing is masked": lambda: np.ma.array(NUMBERS),
    "an object with an `__array__` of its own": lambda: Lies(NUMBERS),
    "a nested tuple": lambda: tuple(map(tuple, NUMBERS.tolist())),
    "a transposed tensor": lambda: torch.from_numpy(NUMBERS.T.copy()).t(),
    "a tensor of unsigned bytes": lambda: torch.from_numpy(NUMBERS.astype(np.uint8)),
}


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(
            make, id=what, marks=tried(15, f"{what}, to every function of numbers", "the same result")
        )
        for what, make in SAME.items()
    ],
)
def test_the_same_numbers_give_the_same_result(same: Callable[[], Any]) -> None:
    matrix = np.ones((3, 2), int)
    functions: list[Call] = [
        lambda x: spikesim.encode(x, "signed_digit").decode().tolist(),
        lambda x: spike_matmul(spikesim.encode(x), matrix).tolist(),
        lambda x: spike_matmul(spikesim.encode([[1, 2]]), x).tolist(),
        lambda x: vars(event_statistics(x, 2, "bitwise"))["events_per_plane"].tolist(),
        lambda x: spikesim.SpikeStatistics.of(x).to_dict(),
        lambda x: spikesim.adaptive_threshold(x).counts.tolist(),
        lambda x: spikesim.int8_absmax(x).counts.tolist(),
        lambda x: quantize_weight(x).counts.tolist(),
    ]
    for function in functions:
        assert function(same()) == function(NUMBERS)


@pytest.mark.parametrize(
    "negative",
    [
        pytest.param(
            lambda x: torch._neg_view(torch.from_numpy(-x)),
            marks=tried(15, "a tensor whose sign waits to be applied", "it is applied first"),
        ),
        pytest.param(
            lambda x: torch.conj(torch.complex(torch.zeros(x.shape), torch.from_numpy(-x))).imag,
            marks=tried(15, "the imaginary part of a conjugated tensor", "its numbers are right"),
        ),
    ],
    ids=["negative", "conjugate"],
)
def test_views_of_tensors(negative: Any) -> None:
    x = np.float32([[0.5, -1.0, 4.0]])
    for function in (spikesim.adaptive_threshold, spikesim.int8_absmax, quantize_weight):
        assert function(negative(x)).counts.tolist() == function(x).counts.tolist()


@tried(15, "read-only words with gaps, to a simulator", "the same result")
def test_words_of_a_simulator_may_be_read_only(program: Program) -> None:
    words = np.random.default_rng(0).integers(-(2**15), 2**15, (4, 1, 16), dtype=np.int32)
    name = program.text.outputs[0].name
    width = program.text.vectors[program.text.input_names[0]]
    words = np.resize(words, (4, 1, width))
    inputs = {
        other: np.zeros((4, 1, program.text.vectors[other]), np.int32)
        for other in program.text.input_names[1:]
    }
    given = np.repeat(words, 2, axis=0)[::2]
    given.flags.writeable = False
    first = program.text.input_names[0]
    results = [
        spikesim.Simulator(program, HARDWARE).run({first: one, **inputs})[name] for one in (words, given)
    ]
    assert np.array_equal(*results)


@tried(15, "paths as text, to load_model", "the same model")
def test_paths_may_be_text() -> None:
    models = [spikesim.load_model(path) for path in (str(MODEL), MODEL)]
    tokens = torch.arange(8)[None]
    assert torch.equal(models[0](tokens), models[1](tokens))


@tried(15, "map_model into a folder that holds a mapping", "it is refused, and the folder left as it was")
def test_mapping_over_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    with pytest.raises(SpikesimError, match=r"must be new, not hold programs already$"):
        spikesim.map_model(str(MODEL), output=str(tmp_path), hardware=HARDWARE)
    assert os.listdir(tmp_path) == ["programs"]
