"""Names by convention, of which there should be none."""

STREAM = "h"
"""The vector that carries the stream into a program; it comes out as the output of the program."""
