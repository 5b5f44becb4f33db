"""The core's side of a system: registers over AXI4-Lite, memories over AXI-Stream."""
