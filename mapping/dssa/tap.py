"""The hook through which every named intermediate of the model passes.

A tap is called as `tap(name, value)` and its return value replaces `value` from there on. The same hook serves
range calibration (look, return the value), recording (keep a copy) and spiking-aware training (return the
fake-quantised value).
"""

from collections.abc import Callable

from torch import Tensor

Tap = Callable[[str, Tensor], Tensor]
"""(name, value) -> value; must keep shape and dtype."""


def identity(name: str, value: Tensor) -> Tensor:
    """Return `value` as it is: the tap of ordinary inference."""
    del name
    return value


def scoped(tap: Tap, prefix: str) -> Tap:
    """Return a tap that hands `prefix + name` to `tap`; `identity` stays `identity`."""
    if tap is identity:
        return identity

    def inner(name: str, value: Tensor) -> Tensor:
        return tap(prefix + name, value)

    return inner
