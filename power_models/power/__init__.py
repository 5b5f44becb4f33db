"""Power of a netlist under a measured activity."""
