"""Verilog to gates of a cell library."""
