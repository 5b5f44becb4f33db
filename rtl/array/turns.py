"""Banks that share an update unit take turns: the first that has something left, of each unit's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Value

from spikesim.rtl.config import CoreConfig


class TurnTaker(Protocol):
    """An encoder bank: `ready` says that it has steps left in the chunk; without `turn` it takes none."""

    ready: Value
    turn: Value


def take_turns(m: Module, banks: Sequence[TurnTaker], config: CoreConfig, scattering: Value) -> None:
    """Of a unit's banks the first that is ready has the turn, in a gather all.

    A unit is never idle while one of its banks is ready: its cycles of a chunk are those of its banks together.
    """
    for b, bank in enumerate(banks):
        earlier = [other.ready for other in banks[b % config.update_units : b : config.update_units]]
        shared = config.turns > 1 and earlier
        m.d.comb += bank.turn.eq(~(scattering & Cat(earlier).any()) if shared else Const(1))
