"""Fewer collections for a while, and as before afterwards."""

from __future__ import annotations

import gc

import pytest

from spikesim.support.collector import rare_collections


def test_thresholds_are_raised_and_given_back() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), rare_collections():
        assert gc.get_threshold()[0] > before[0]
        raise KeyError
    assert gc.get_threshold() == before
