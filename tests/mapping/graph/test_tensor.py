"""Where elements lie: copies in few instructions, rows of a product, images channels last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikesim.mapping.graph.tensor import channels_last, rows_of, stretches


@given(
    source=st.lists(st.integers(0, 40), min_size=1, max_size=60),
    gaps=st.lists(st.integers(1, 3), min_size=60, max_size=60),
)
def test_stretches_copy_every_word_once(source: list[int], gaps: list[int]) -> None:
    """Any words to any ascending places: the groups of all stretches together are that copy."""
    taken = np.array(source, np.int64)
    target = np.cumsum(np.array(gaps[: taken.size], np.int64))
    memory, copied = np.arange(100, 200), np.full(int(target[-1]) + 1, -1)
    for s in stretches(taken, target):
        assert s.target_step >= s.count or s.groups == 1
        assert s.source_step >= 0
        for group in range(s.groups):
            at, to = s.source + group * s.source_step, s.target + group * s.target_step
            assert (copied[to : to + s.count] == -1).all()
            copied[to : to + s.count] = memory[at : at + s.count]
    assert (copied[target] == memory[taken]).all()
    assert (np.delete(copied, target) == -1).all()


def test_a_transposition_is_an_instruction_a_channel() -> None:
    """Channels last to channels first."""
    order = channels_last((1, 6, 5, 4), 2)
    found = list(stretches(order.reshape(-1), np.arange(order.size)))
    assert len(found) == 6
    assert {(s.groups, s.count, s.source_step) for s in found} == {(20, 1, 6)}


def test_rows_may_lie_in_another_order_within() -> None:
    """The flattened image of a linear layer: its weights' columns are put in that order."""
    order = channels_last((3, 2, 2), 2).reshape(1, -1)
    rows = rows_of(order)
    assert rows is not None
    assert (order[0][rows.columns] == np.arange(12)).all()
    assert rows_of(np.array([[0, 2, 4]])) is None
