"""Area, power and energy of spiking against dense for one model: synthesised, simulated gate by gate, compared."""

from spikesim.compare.model import add_comparison
from spikesim.compare.settings import CompareSettings

__all__ = ["CompareSettings", "add_comparison"]
