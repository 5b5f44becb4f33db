"""spikesim: convert spiking and other networks and co-design the event-driven hardware that runs them.

The names below are the public interface; the modules they come from hold the rest. Importing the package is cheap:
nothing heavy (torch, numba, matplotlib) is imported before it is used.

>>> import spikesim
>>> spikesim.encode([3, -1, 0], coding="bitwise").firing_rate
0.5
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikesim.version import __version__

if TYPE_CHECKING:
    from spikesim.flow import map_model, map_module, simulate_mapping
    from spikesim.hardware import HardwareConfig
    from spikesim.mapping.dssa.model import load_model
    from spikesim.run.simulator import Simulator
    from spikesim.spikes.encode import encode
    from spikesim.spikes.quantise import adaptive_threshold, int8_absmax
    from spikesim.spikes.statistics import SpikeStatistics
    from spikesim.spikes.train import SpikeTrain

_HOMES = {
    "HardwareConfig": "spikesim.hardware",
    "Simulator": "spikesim.run.simulator",
    "SpikeStatistics": "spikesim.spikes.statistics",
    "SpikeTrain": "spikesim.spikes.train",
    "adaptive_threshold": "spikesim.spikes.quantise",
    "encode": "spikesim.spikes.encode",
    "int8_absmax": "spikesim.spikes.quantise",
    "load_model": "spikesim.mapping.dssa.model",
    "map_model": "spikesim.flow",
    "map_module": "spikesim.flow",
    "simulate_mapping": "spikesim.flow",
}

__all__ = [
    "HardwareConfig",
    "Simulator",
    "SpikeStatistics",
    "SpikeTrain",
    "__version__",
    "adaptive_threshold",
    "encode",
    "int8_absmax",
    "load_model",
    "map_model",
    "map_module",
    "simulate_mapping",
]


def __getattr__(name: str) -> Any:
    """Imports a public name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'spikesim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
