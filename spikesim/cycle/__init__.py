"""The cycle model: cycles and counters of every instruction in closed form, from event statistics.

It never computes a value; it reads the effects that a run of the golden model left. `spikesim.timing` holds the rules.
"""
