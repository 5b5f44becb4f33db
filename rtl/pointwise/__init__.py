"""The pointwise unit: all vector arithmetic that is not a product of a matrix and counts."""
