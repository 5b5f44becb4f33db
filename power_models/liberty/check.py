"""`check_library`: whether a cell library has what nothing can be mapped without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import names_in, truth_table
from spikesim.power_models.liberty.library import Cell, Library

_NEEDED = {
    "an inverter": {(1, 0b01)},
    "a NAND or NOR gate": {(2, 0b0111), (2, 0b0001)},
    "a buffer": {(1, 0b10)},  # abc crashes without one
}
"""Per name the pairs of inputs and truth table, any of which will do."""


def check_library(library: Library) -> None:
    """Raises LibertyError, naming it, if a function is missing without which nothing can be mapped."""
    functions = set(_small_functions(library.usable))
    for name, tables in _NEEDED.items():
        if not functions & tables:
            raise LibertyError(f"the library {library.name} must have {name}{_but(library, tables)}")
    if not any(cell.register and not cell.register.asynchronous for cell in library.usable.values()):
        registers = {name: cell for name, cell in library.cells.items() if cell.register}
        raise LibertyError(
            f"the library {library.name} must have a D flip-flop without clear and preset that works at the rising "
            f"edge{_first_reason(registers)}"
        )


def _but(library: Library, tables: set[tuple[int, int]]) -> str:
    """Why one that the library has will not do."""
    having = {n: c for n, c in library.cells.items() if set(_small_functions({n: c})) & tables}
    return _first_reason(having)


def _first_reason(cells: Mapping[str, Cell]) -> str:
    return next((f"; {name} is not used: {cell.unused}" for name, cell in cells.items() if cell.unused), "")


def _small_functions(cells: Mapping[str, Cell]) -> Iterator[tuple[int, int]]:
    """The functions of cells with one or two inputs and one output."""
    for cell in cells.values():
        inputs, outputs = cell.inputs, cell.outputs
        if cell.register or cell.gate or cell.latch or len(outputs) != 1 or not 1 <= len(inputs) <= 2:
            continue
        function = cell.pins[outputs[0]].function
        # Pads and the like name pins that are no inputs.
        if function and set(names_in(function)) <= set(inputs):
            yield len(inputs), truth_table(function, inputs)
