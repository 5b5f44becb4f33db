"""Integers and spikes: quantising, encoding, packing, counting."""
