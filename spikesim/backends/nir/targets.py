"""The tools that a graph can be written for, and what of a graph each of them takes differently.

NIR describes neurons in continuous time. A tool picks the time step and the way to integrate, so the same file gives
other numbers in another tool. Both tools here integrate a leaky neuron in one multiplication and one addition per
step; with a leak of exactly one half both are exact in binary floats (`spikesim.backends.nir.exactness`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spikesim.errors import ToolError


@dataclass(frozen=True, kw_only=True)
class NIRTarget:
    """A tool that imports NIR, and the parameters with which its leaky neuron halves its potential exactly.

    * `version`: the version of the tool that was measured.
    * `dt_s`: the time step it integrates with, s; NIR files hold none.
    * `tau_s`, `r`: time constant, s, and resistance of every neuron.
    * `gain`: what a step adds to the potential, as a multiple of the input, after the import.
    * `subtracts`: a step forms input − potential, which must be exact as well.
    * `load`, `potential`: how the tool loads a graph, and where it keeps the potentials.
    """

    name: str
    version: str
    dt_s: float
    tau_s: float
    r: float
    gain: float
    subtracts: bool
    update: str
    load: str
    potential: str

    def weight_scale(self, planes: int) -> int:
        """What weights are multiplied by, so that the potential after `planes` steps is the sum itself.

        Plane p of T is halved T − 1 − p times after its own step, and enters times `gain`.

        >>> TARGETS["norse"].weight_scale(7), TARGETS["snntorch"].weight_scale(7)
        (128, 64)
        """
        return int(2.0 ** (planes - 1) / self.gain)


TARGETS: Mapping[str, NIRTarget] = MappingProxyType(
    {
        target.name: target
        for target in (
            NIRTarget(
                name="norse",
                version="1.1.0",
                dt_s=1e-3,  # the default of from_nir
                tau_s=2e-3,
                r=1.0,  # the importer drops it, and warns if it is another number
                gain=0.5,
                subtracts=True,
                update="v + dt / tau * (input - v)",
                load="norse.torch.from_nir(graph)",
                potential='state.state["sums"][0].v',
            ),
            NIRTarget(
                name="snntorch",
                version="1.0.0",
                dt_s=1e-4,  # fixed in its importer
                tau_s=2e-4,
                r=2.0,  # with r * dt / tau = 1 the importer leaves weights and threshold alone
                gain=1.0,
                subtracts=False,
                update="(1 - dt / tau) * v + input",
                load="snntorch.import_nir.import_from_nir(graph)",
                potential="network.sums.mem",
            ),
        )
    }
)


def checked_target(name: str) -> NIRTarget:
    """The target of this name. Raises ToolError if there is none."""
    try:
        return TARGETS[name]
    except KeyError:
        raise ToolError(f"target must be one of {', '.join(TARGETS)}, not {name}") from None
