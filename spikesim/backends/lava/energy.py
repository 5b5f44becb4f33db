"""Energy of the neurocores per token and the shortest time step, from a target's constants; None where it has none.

Published constants are of single things on a chip, simulated with SPICE. What they leave out (the processors, routing
between tiles, leakage, the rest of the chip) is left out here too, so these are estimates from below.
"""

from __future__ import annotations

from spikesim.backends.lava.demand import GRADED_BITS
from spikesim.backends.lava.spikes import GRADED
from spikesim.backends.lava.target import Target
from spikesim.results.lava import EnergyEstimate, Traffic

PJ = 1e-6
"""µJ in a pJ."""


def estimate(
    target: Target, traffic: Traffic | None, neurons: int, steps_per_token: int
) -> tuple[EnergyEstimate | None, str]:
    """Energy per token of matrix traffic on neurocores, or None and why there is none.

    `traffic`: spikes and synaptic operations of the coding in use. `neurons` on neurocores are updated in each of the
    `steps_per_token` steps.
    """
    costs = target.energy
    if costs.synaptic_operation_pj is None:
        return None, (
            f"Blank: nobody has published an energy per synaptic operation of {target.name}. "
            "A target file that gives one gets an estimate."
        )
    if traffic is not None and traffic.coding == GRADED and target.payload_bits < GRADED_BITS:
        return None, f"Blank: there are no graded spikes on {target.name}."
    if traffic is None:
        return None, "Blank: the traffic of this coding was not counted."
    update, spike = costs.neuron_update_pj, costs.spike_in_tile_pj
    left_out = ["processors", "hops between tiles", "leakage"]
    left_out += ["neuron updates"] if update is None else []
    left_out += ["spikes"] if spike is None else []
    assumed = [limit for limit in (costs.synaptic_operation_pj, update, spike) if limit and limit.assumed]
    return (
        EnergyEstimate(
            synaptic_uj=traffic.synaptic_operations_per_token * costs.synaptic_operation_pj.value * PJ,
            neurons_uj=None if update is None else neurons * steps_per_token * update.value * PJ,
            spikes_uj=None if spike is None else traffic.spikes_per_token * spike.value * PJ,
            note=(
                f"Estimate of the neurocores alone, from constants of {target.name}"
                f"{', some of them assumed' if assumed else ''}; nothing was measured. "
                f"Spikes are those into matrices; {neurons:,} neurons are updated in {steps_per_token:,} "
                f"{'step' if steps_per_token == 1 else 'steps'} per token. "
                f"Left out: {', '.join(left_out)}."
            ),
        ),
        "",
    )


def shortest_step(target: Target, fullest_core: int) -> tuple[float | None, str]:
    """The least a time step takes, ns, and why; `fullest_core`: neurons of the core that has most of them."""
    bounds = []
    if target.time.shortest_step_ns is not None:
        bounds.append((float(target.time.shortest_step_ns.value), f"the shortest time step of {target.name}"))
    if target.time.neuron_update_ns is not None and fullest_core:
        one = float(target.time.neuron_update_ns.value)
        bounds.append((fullest_core * one, f"{fullest_core:,} neurons of the fullest core, {one:g} ns each"))
    if not bounds:
        return None, f"Nothing public bounds the time step of {target.name}."
    return max(bounds)
