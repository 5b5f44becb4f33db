"""The cycle model: cycles and counters of every instruction in closed form, from event statistics.

It never computes a value; it reads the counts the golden model left in a frame. `spikesim.timing` holds the rules.
"""
