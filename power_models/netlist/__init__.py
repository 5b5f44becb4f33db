"""Netlists of library cells, and buffers for what drives too much."""
