"""The programs of a model as networks of Lava processes, compared with golden, and laid on a Loihi-style chip.

`run.execute` runs them; `place.place` and `depth.depth` are the analysis of a chip that nobody needs to have.
"""
