"""Area, activity, power and memory models of the spike core; imported as ``spikesim.power_models``.

Every constant from outside states its value, unit, node, voltage and source, or is called ``assumed``.
"""
