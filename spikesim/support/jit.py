"""The one place that says how this package compiles its inner loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from spikesim.support.kernel_cache import kernel_cache

F = TypeVar("F", bound=Callable[..., Any])

Int = Any
"""A scalar inside a compiled loop: int64. NumPy types and Python's int meet there, which checkers keep apart."""


def jit(signature: str | None = None) -> Callable[[F], F]:
    """Compile a function of numpy arrays to machine code; its Python type stays visible to type checkers.

    The result is kept on disk between runs (`kernel_cache`), releases the interpreter lock, and does not check array
    bounds: callers validate shapes and types before they call. With a `signature` it is compiled once, for those types;
    an array type like `int32[:, :, :]` then accepts any strides.
    """

    def decorate(function: F) -> F:
        # `error_model="numpy"` drops the zero-division branches, which would keep loops from being vectorised.
        compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
        if compiled is function:  # NUMBA_DISABLE_JIT
            return function
        if (cache := kernel_cache(function)) is not None:
            compiled._cache = cache
        if signature is not None:
            compiled.compile(signature)
            compiled.disable_compile()
        return cast(F, compiled)

    return decorate


def jit_text(text: str, module: dict[str, Any]) -> Any:
    """`jit` for the function that a text defines, as if it stood in the module whose `globals()` are given.

    The text must follow from that module and its imports alone: machine code is kept until one of them changes.
    """
    defined: dict[str, Any] = {}
    exec(compile(text, module["__file__"], "exec"), module, defined)
    (function,) = defined.values()
    return jit()(function)
