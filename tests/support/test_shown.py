"""`shown`: values in sentences."""

import time
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers.tried import tried

from spikesim.support.shown import shown

NESTED = tried(12, "a value of 4^40 parts, all references to one another", "it is shown shortened")
LONG = tried(12, "an integer of 100,001 digits", "its bits are named")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value, value, value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(nested(40), marks=NESTED),
        pytest.param(OrderedDict(a=nested(40)), id="foreign type"),
        pytest.param(torch.zeros(1).expand(10**9), id="stride 0"),
        pytest.param("x" * 10**6, id="long text"),
        pytest.param(10 ** (10**5), marks=LONG, id="long integer"),
        pytest.param({i: nested(30) for i in range(1000)}, id="long dictionary"),
    ],
)
def test_what_is_shown_is_short(value):
    started = time.process_time()
    assert len(shown(value)) < 400
    assert time.process_time() - started < 5  # a hang, not a matter of speed


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "\x07", "\udcff", "\u202e"])
def test_nothing_a_terminal_obeys_is_left(text):
    assert shown(text).isprintable()
    assert shown(Path(text)).isprintable()


def test_plain_values_stand_as_they_are():
    assert [shown(value) for value in (1, -2.5, True, None, "a", b"b", [1, 2], {"a": 1})] == [
        "1", "-2.5", "True", "None", "'a'", "b'b'", "[1, 2]", "{'a': 1}",
    ]  # fmt: skip
