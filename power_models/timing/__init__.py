"""Static timing of a netlist."""
