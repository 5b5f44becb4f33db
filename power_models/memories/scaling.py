"""`scaled`: area, energy and delay from one technology node to another, after Stillmaker and Baas.

A. Stillmaker, B. Baas, Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm,
Integration 58 (2017) 74-81, doi 10.1016/j.vlsi.2017.02.002, with its corrigendum: areas are ratios of a table, energy
is a quadratic and delay a cubic in the supply voltage, fitted per node to simulated inverters. The coefficients were
taken from two independent public transcriptions (UCLA NanoCAD nodeScale; hwcomponents), which agree where both have
them; the corrigendum confirms the energies of 32 nm and 65 nm. Leakage is not in the source. The authors' high
performance devices are meant throughout.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from spikesim.errors import HardwareError

Kind = Literal["area", "energy", "delay"]


@dataclass(frozen=True)
class _Node:
    area: float  # relative to 45 nm
    delay: tuple[float, float, float, float]  # cubic in V, highest power first
    energy: tuple[float, float, float]  # quadratic in V
    voltage: float


_NODES: dict[int, _Node] = {
    180: _Node(19, (0, 97.09, -356.7, 406.5), (0, 24.64, -17.98), 1.8),
    130: _Node(6.4, (-76.65, 334.9, -493.4, 275.8), (7.171, -6.709, 2.904), 1.3),
    90: _Node(2.8, (-60.34, 262.5, -384.2, 210.9), (4.762, -4.781, 2.092), 1.2),
    65: _Node(1.5, (-53.3, 230.4, -333.9, 178.6), (3.755, -4.398, 1.975), 1.1),
    45: _Node(1.0, (-501.6, 1567, -1619, 566.1), (1.018, -0.3107, 0.1539), 1.0),
    32: _Node(0.46, (-1047, 2982, -2797, 873.5), (0.8367, -0.4341, 0.1701), 0.9),
    20: _Node(0.21, (0, 34.63, -66.37, 41.15), (0.373, -0.1582, 0.04104), 0.9),
    16: _Node(0.19, (0, 24.8, -47.52, 28.87), (0.2958, -0.1241, 0.03024), 0.85),
    14: _Node(0.17, (-40.66, 109.2, -100.6, 35.92), (0.2363, -0.09675, 0.02239), 0.8),
    10: _Node(0.1, (-34.95, 93.65, -85.99, 30.4), (0.2068, -0.09311, 0.02375), 0.75),
    7: _Node(0.059, (-28.58, 76.6, -70.26, 24.69), (0.1776, -0.09097, 0.02447), 0.7),
}
"""Voltages are the nominal ones of the predictive models (PTM, ITRS) that the source fitted."""

_LOWEST, _HIGHEST = 0.7, 1.45
"""Supply ÷ nominal that is accepted: 1.8 V of a 130 nm library is 1.38."""
_FASTEST = 1.1
"""Supply ÷ nominal above which the cubics of the delay turn and are not evaluated."""


@dataclass(frozen=True, kw_only=True)
class LibraryNode:
    """Where a cell library belongs. `assumed`: its name is not known, and the values are a guess."""

    node: str
    voltage: float
    source: str
    assumed: bool = False


_LIBRARIES: tuple[tuple[str, int, float, str], ...] = (
    (r"nangate|freepdk|gscl45", 45, 1.1, "FreePDK45"),
    (r"osu0?18", 180, 1.8, "OSU standard cells for TSMC 0.18 µm"),
    (r"sky130|scs130", 130, 1.8, "SkyWater SKY130"),
    (r"sg13|ihp", 130, 1.2, "IHP SG13G2"),
    (r"asap7", 7, 0.7, "ASAP7 predictive PDK"),
    (r"gf180", 180, 3.3, "GlobalFoundries GF180MCU"),
)


def library_node(name: str) -> LibraryNode:
    """The node and typical supply of a cell library, from the name its Liberty file gives it.

    An unknown name is taken for 45 nm at 1.1 V, and the result says so.
    """
    for pattern, node, voltage, source in _LIBRARIES:
        if re.search(pattern, name, re.IGNORECASE):
            return LibraryNode(node=f"{node} nm", voltage=voltage, source=source)
    return LibraryNode(
        node="45 nm", voltage=1.1, source=f"the library {name!r} is not known; 45 nm is a guess", assumed=True
    )


def node_nm(node: str | float) -> float:
    """Nanometres of "45 nm", "45" or 45. Raises HardwareError outside 7 to 180 nm, which the source covers."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:nm)?\s*", str(node))
    value = float(match.group(1)) if match else math.nan
    if not min(_NODES) <= value <= max(_NODES):
        raise HardwareError(f"the technology node must be between 7 nm and 180 nm, not {node!r}")
    return value


def nominal_voltage(node: str | float) -> float:
    """V; between two nodes of the source that of the smaller distance in logarithms is interpolated."""
    return _between(node_nm(node), {nm: entry.voltage for nm, entry in _NODES.items()})


def scaled(
    value: float,
    kind: Kind,
    from_node: str | float,
    to_node: str | float,
    *,
    from_voltage: float | None = None,
    to_voltage: float | None = None,
) -> float:
    """`value` of `kind` in another node and at another supply (V; the nodes' nominal ones by default).

    Areas do not depend on the supply. Nodes that the source does not list (28, 22, 12 nm) are interpolated between
    their neighbours, linearly in logarithms; that is ours. Raises HardwareError for a node outside 7 to 180 nm, for a
    supply outside 0.7 to 1.45 of the nominal one, and for another kind. Above the nominal supply delays do not rise
    and beyond 1.1 of it do not fall, whatever the cubics do: the fits end there.
    """
    if kind not in ("area", "energy", "delay"):
        raise HardwareError(
            f"what is scaled must be area, energy or delay, not {kind!r}: the source has no more"
        )
    old = _factor(kind, node_nm(from_node), from_voltage)
    return value * (_factor(kind, node_nm(to_node), to_voltage) / old)


def _factor(kind: Kind, node: float, voltage: float | None) -> float:
    nominal = nominal_voltage(node)
    supply = nominal if voltage is None else voltage
    if kind == "area":
        return _between(node, {nm: entry.area for nm, entry in _NODES.items()})
    if not _LOWEST * nominal <= supply <= _HIGHEST * nominal:
        raise HardwareError(
            f"the supply of a {node:g} nm node must be between {_LOWEST * nominal:.2f} V and "
            f"{_HIGHEST * nominal:.2f} V, not {supply:g} V"
        )
    # A node between two others takes each at the same share of its own nominal supply.
    share = supply / nominal
    if kind == "energy":
        return _between(
            node, {nm: _polynomial(entry.energy, share * entry.voltage) for nm, entry in _NODES.items()}
        )
    return _between(node, {nm: _delay(entry, share) for nm, entry in _NODES.items()})


def _delay(entry: _Node, share: float) -> float:
    if share <= 1:
        return _polynomial(entry.delay, share * entry.voltage)
    return min(
        _polynomial(entry.delay, entry.voltage),
        _polynomial(entry.delay, min(share, _FASTEST) * entry.voltage),
    )


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    result = 0.0
    for coefficient in coefficients:
        result = result * x + coefficient
    return result


def _between(node: float, table: dict[int, float]) -> float:
    """Linear in logarithms between the neighbours, exact at the table's nodes."""
    if node in table:
        return table[int(node)]
    low = max(nm for nm in table if nm < node)
    high = min(nm for nm in table if nm > node)
    share = math.log(node / low) / math.log(high / low)
    return math.exp((1 - share) * math.log(table[low]) + share * math.log(table[high]))
