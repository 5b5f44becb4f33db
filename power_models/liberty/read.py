"""`read_liberty`: a `Library` from a Liberty file, which is read once: everybody else works on what was read.

Its syntax is the matter of `text.py`, its cells that of `cells.py`.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.cells import read_cell
from spikesim.power_models.liberty.library import Arc, Cell, Energy, Floats, Library, Pin, Register, Table
from spikesim.power_models.liberty.spelled import spelled_library
from spikesim.power_models.liberty.tables import Units, units_of
from spikesim.power_models.liberty.text import Group, number, parse
from spikesim.support.reading import MEBIBYTE, decoded, read_bytes
from spikesim.support.shown import shown

__all__ = ["Arc", "Cell", "Energy", "Floats", "Library", "Pin", "Register", "Table", "read_liberty"]

_LARGEST = 64 * MEBIBYTE
"""Ten times Nangate45."""
_GZIP = b"\x1f\x8b"


def read_liberty(path: Path) -> Library:
    """Reads a Liberty file. Raises LibertyError: it cannot be read, or is not one."""
    content = read_bytes(path, "a Liberty file", LibertyError, limit=_LARGEST)
    text = _text(content, path)
    try:
        return _library(parse(text), hashlib.sha256(content).hexdigest())
    except LibertyError as error:
        raise LibertyError(f"Liberty file {path}: {error}") from None


def _text(content: bytes, path: Path) -> str:
    """UTF-8, or any encoding that agrees with ASCII: beyond it there are comments alone, names are of ASCII."""
    if content.startswith(_GZIP):
        raise LibertyError(f"{path} must be Liberty text, not packed by gzip; unpack it first")
    try:
        return decoded(content, path, LibertyError)
    except LibertyError:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise
        return content.decode("latin-1")


def _library(group: Group, digest: str) -> Library:
    if "include_file" in group.attributes:
        line = group.attributes["include_file"][0].line
        raise LibertyError(f"include_file must be replaced by the text that it names (line {line})")
    if next(group.all("cell"), None) is None:
        raise LibertyError("the library must have cells")
    units = units_of(group)
    voltage = _condition(group, "voltage")
    if voltage <= 0:
        raise LibertyError(f"the library must have a positive voltage, not {voltage:g}")
    cells: dict[str, Cell] = {}
    groups: dict[str, Group] = {}
    for cell in group.all("cell"):
        read = read_cell(cell, group, units)
        if read.name in cells:
            lines = f"lines {groups[read.name].line} and {cell.line}"
            raise LibertyError(f"cell {read.name} must be described once, not in {lines}")
        cells[read.name], groups[read.name] = read, cell
    wire_load, wire_slope = _wire_load(group, units)
    library = Library(
        name=group.arguments[0] if group.arguments else "",
        voltage=voltage * units.voltage,
        temperature=_condition(group, "temperature"),
        cells=cells,
        wire_load=wire_load,
        wire_slope=wire_slope,
        digest=digest,
    )
    return dataclasses.replace(library, text=spelled_library(group, groups, library, units))


def _condition(library: Group, name: str) -> float:
    """Of the default operating conditions, or the nominal one. Raises LibertyError: neither is stated."""
    wanted = library.text("default_operating_conditions")
    corners = list(library.all("operating_conditions"))
    if wanted:
        corners = [corner for corner in corners if corner.arguments == [wanted]]
        if len(corners) != 1:
            raise LibertyError(
                f"default_operating_conditions must name operating_conditions of the library, not {shown(wanted)}"
            )
    elif library.text(f"nom_{name}") or len(corners) > 1:
        corners = []
    if corners and corners[0].text(name):
        return corners[0].number(name)
    if not library.text(f"nom_{name}"):
        raise LibertyError(f"the library must state its {name} (nom_{name})")
    return library.number(f"nom_{name}")


def _wire_load(library: Group, units: Units) -> tuple[Floats, float]:
    """The default wire load. Raises LibertyError: the library has not what it names."""
    wanted = library.text("default_wire_load")
    if not wanted:
        return np.zeros(0), 0.0
    models = [g for g in library.all("wire_load") if g.arguments == [wanted]]
    if len(models) != 1:
        raise LibertyError(f"default_wire_load must name one wire_load of the library, not {shown(wanted)}")
    (model,) = models
    what = f"fanout_length of {model.label}"
    lengths: dict[float, float] = {}
    for values in model.every("fanout_length"):
        if len(values) < 2:
            raise LibertyError(f"{what} must be of a fan-out and a length, not {shown(values)}")
        fanout, length = number(values[0], what), number(values[1], what)
        if lengths.setdefault(fanout, length) != length or length < 0:
            raise LibertyError(f"{what} must be one length from 0 on for each fan-out, not {shown(values)}")
    points = np.array(sorted(lengths.items()))
    if not points.size:
        return np.zeros(0), 0.0
    if not 1 <= points[-1, 0] <= 1e6:
        raise LibertyError(f"{what} must be for fan-outs of 1 to a million, not {points[-1, 0]:g}")
    every = np.interp(np.arange(1, int(points[-1, 0]) + 1), points[:, 0], points[:, 1])
    last = every[-1] - every[-2] if every.size > 1 else every[-1]
    per_length, slope = model.number("capacitance"), model.number("slope", float(last))
    if per_length < 0 or slope < 0:
        raise LibertyError(f"capacitance and slope of {model.label} must not be negative")
    return np.asarray(every * (per_length * units.load)), float(slope * (per_length * units.load))
