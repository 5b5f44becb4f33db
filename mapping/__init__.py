"""Mapping of DSSA language models onto spiking hardware: reading, running, quantising, compiling and placing them.

Import the modules by name (`spikesim.mapping.dssa.model`, ...); importing this package alone loads nothing heavy.
"""
