"""Memories that are not synthesised: area, energy, leakage, access time, from node to node."""
