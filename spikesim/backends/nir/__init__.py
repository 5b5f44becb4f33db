"""NIR out: the matrix gathers of programs as graphs of the Neuromorphic Intermediate Representation.

A graph is exact in the tool it is written for, and in no other; `docs/nir.md` says why. What NIR cannot express is
listed beside the graphs.
"""
