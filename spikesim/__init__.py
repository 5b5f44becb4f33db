"""spikesim: convert spiking DSSA language models and co-design the event-driven hardware that runs them.

The names below are the public interface; the modules they come from hold the rest. Importing the package is cheap:
nothing heavy (torch, numba, matplotlib) is imported before it is used.

>>> import spikesim
>>> spikesim.encode([3, -1, 0], coding="bitwise").firing_rate
0.5
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikesim.coding import encode
    from spikesim.flow import map_model, simulate_mapping
    from spikesim.hardware import HardwareConfig
    from spikesim.integers import adaptive_threshold, int8_absmax
    from spikesim.mapping.model import load_model
    from spikesim.simulator import Simulator
    from spikesim.spike_train import SpikeTrain
    from spikesim.statistics import SpikeStatistics

__version__ = "0.1.0"

_HOMES = {
    "HardwareConfig": "spikesim.hardware",
    "Simulator": "spikesim.simulator",
    "SpikeStatistics": "spikesim.statistics",
    "SpikeTrain": "spikesim.spike_train",
    "adaptive_threshold": "spikesim.integers",
    "encode": "spikesim.coding",
    "int8_absmax": "spikesim.integers",
    "load_model": "spikesim.mapping.model",
    "map_model": "spikesim.flow",
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
    "simulate_mapping",
]


def __getattr__(name: str) -> Any:
    """Imports a public name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'spikesim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
