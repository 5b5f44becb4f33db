"""Names by convention, of which there should be none."""

STREAM = "h"
"""The vector that carries the stream into a program; it comes out as the output of the program."""

SHIFT_SUFFIX = ".shift"
"""A simulated decay leaves its row shifts in the vector `<dst><suffix>`, for the cycle model."""
