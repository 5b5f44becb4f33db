"""What moves in a cycle: the one definition that settings, cycle rules and generator go by."""

from __future__ import annotations


class ArrayWidths:
    """Of an array with these sizes and settings, whoever states them: no more moves than there are banks or lanes."""

    ways: int
    lanes: int
    load_width: int
    drain_width: int
    state_banks: int

    @property
    def loaded(self) -> int:
        """Counts that enter the event encoders per cycle: a bank takes one."""
        return min(self.load_width, self.ways)

    @property
    def fetched(self) -> int:
        """Update words that a scatter reads per cycle, and counts that a store writes, in a run within a chunk."""
        return min(self.loaded, self.lanes)

    @property
    def drained(self) -> int:
        """Sums that are written per cycle."""
        return min(self.drain_width, self.lanes)

    @property
    def update_units(self) -> int:
        """Units that update states: unit u those of the banks u, u + update_units, …"""
        return min(self.state_banks, self.ways)

    def longest_run(self, words: int) -> int:
        """Words of vector memory that are read or written in a cycle at most; `words`: by the pointwise unit."""
        return max(words, self.loaded, self.drained)
