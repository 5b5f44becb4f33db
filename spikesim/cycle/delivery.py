"""`Delivery`: what an array has to do to take the events of some counts, in its own order of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.cycle.cost import Array, PerCore
from spikesim.hardware import HardwareConfig, Order
from spikesim.spikes.events import event_statistics
from spikesim.spikes.row_order import plane_steps, row_order

Counts = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Of counts[rows, channels], int64[rows] each.

    * `events`, `active_rows`: non-zero digits, and counts that have any.
    * `cycles`, `row_reads`: of the spiking core, cycles in which a chunk takes events, and words read of row memory.
    * `busiest_bank`: counts that are not 0 in the fullest bank, the cycles of the dense twin that skips zeros.
    """

    events: Array
    active_rows: Array
    cycles: Array
    row_reads: Array
    busiest_bank: Array


def delivery(counts: Counts, hardware: HardwareConfig, lengths: Array | None = None) -> Delivery:
    """counts: int8[rows, channels] in ±127; `lengths`: int64[rows], how many counts each row has."""
    array, coding, order = hardware.array, hardware.numerics.coding, order_of(hardware)
    if order == "plane":
        planes = event_statistics(
            counts, array.ways, coding, skew=array.skew, scan=array.scan_bits, lengths=lengths
        )
        events, active, busiest = planes.events, planes.active_rows, planes.busiest_bank_active
        # A row is read anew for every event.
        cycles, reads = planes.plane_order_cycles, planes.events
    else:
        rows = row_order(np.ascontiguousarray(counts).view(np.uint8), array.ways, coding, array.row_planes)
        events, active, busiest = rows.events, rows.active_rows, rows.busiest_bank_active
        cycles, reads = rows.window_order_cycles, rows.window_order_reads
        if order == "row":
            cycles, reads = rows.row_order_cycles, rows.active_rows
    return Delivery(
        events=events.astype(np.int64),
        active_rows=active.astype(np.int64),
        cycles=cycles.astype(np.int64),
        row_reads=reads.astype(np.int64),
        busiest_bank=busiest.astype(np.int64),
    )


def order_of(hardware: HardwareConfig) -> Order:
    """Ternary planes weigh the same, so that their events come row by row in any order."""
    return "row" if hardware.numerics.coding == "ternary" else hardware.array.order


def update_cycles(counts: Counts, hardware: HardwareConfig) -> Array:
    """counts: int8[rows, channels] -> int64[rows]: of the update unit that needs most to step through its rows' planes.

    Channel i is of unit i mod `update_units`; a row takes a cycle for each of its planes from the highest with an event
    down.
    """
    codes = np.ascontiguousarray(counts).view(np.uint8)
    return plane_steps(codes, hardware.array.update_units, hardware.numerics.coding).astype(np.int64)


def gather_cycles(counts: Counts, hardware: HardwareConfig) -> Array:
    """counts: int8[rows, channels] -> int64[rows]: cycles in which a gather's chunk takes events, spiking."""
    return delivery(counts, hardware).cycles


def skip_cycles(counts: Counts, hardware: HardwareConfig) -> Array:
    """counts: int8[rows, channels] -> int64[rows]: the same of the dense twin that skips zeros, at least 1."""
    return np.maximum(delivery(counts, hardware).busiest_bank, 1)


def gather_reads(counts: Counts, hardware: HardwareConfig) -> PerCore:
    """counts: int8[rows, channels] -> int64[rows] per core: words of row memory that a gather's chunk reads."""
    found = delivery(counts, hardware)
    return {
        "spiking": found.row_reads,
        "dense": np.full(len(counts), counts.shape[1], np.int64),
        "skipping": found.active_rows,
    }
