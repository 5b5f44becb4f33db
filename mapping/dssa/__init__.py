"""DSSA language models: reading, running in float, lowering to programs."""
