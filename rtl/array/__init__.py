"""The event-driven array: encoders, row and state memory, sums, and the control of its four instructions."""
