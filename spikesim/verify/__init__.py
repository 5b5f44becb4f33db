"""Lockstep verification: a program on the RTL, in Verilator, against the simulator; every word, cycle and counter.

`spikesim.verify.lockstep` runs both and compares; the other modules are its parts.
"""
