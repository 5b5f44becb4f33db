"""Gate-level simulation: a netlist in 64 streams at once, its activity and its glitches."""
