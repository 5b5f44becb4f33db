"""`Technology`: the cell library, its node, the clock and the cache, which every design is measured with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from spikesim.power_models.cache import ResultCache
from spikesim.power_models.liberty.library import Library
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.memories.scaling import LibraryNode, library_node, node_nm
from spikesim.power_models.synthesis.synthesis import Synthesiser, SynthesisSettings, default_liberty
from spikesim.results.comparison import LibraryFacts, SourcedValue
from spikesim.support.cache_folder import user_folder
from spikesim.support.sources import digest

_SHOWN_REASONS = 8


@dataclass(frozen=True, kw_only=True)
class Technology:
    """A library at a clock. `node`: by the library's name. `cache`: of all that was synthesised or simulated.

    `building`: held while a design is synthesised.
    """

    liberty: Path
    library: Library
    frequency_hz: float
    node: LibraryNode
    cache: ResultCache
    building: Lock = field(default_factory=Lock, compare=False)

    @classmethod
    def of(cls, liberty: Path | None, frequency_hz: float, *, use_cache: bool) -> Technology:
        """The library of a Liberty file, Nangate45 if none is named. Raises LibertyError, OutputError, ToolError."""
        path = liberty or default_liberty()
        library = read_liberty(path)
        return cls(
            liberty=path,
            library=library,
            frequency_hz=frequency_hz,
            node=library_node(library.name),
            cache=ResultCache(user_folder() if use_cache else None),
        )

    @cached_property
    def synthesiser(self) -> Synthesiser:
        """For this clock."""
        settings = SynthesisSettings(period_ps=1e12 / self.frequency_hz)
        return Synthesiser(self.library, settings=settings, cache=self.cache)

    @property
    def period_s(self) -> float:
        """Of the clock."""
        return 1 / self.frequency_hz

    def conditions(self, module: str) -> list[Any]:
        """All that a measurement by a module depends on besides its design and its work: library, clock, program."""
        return [self.library.digest, self.frequency_hz, digest(module)]

    @property
    def facts(self) -> LibraryFacts:
        """For the report."""
        return LibraryFacts(
            name=self.library.name,
            file=self.liberty.name,
            voltage_v=self.library.voltage,
            temperature_c=self.library.temperature,
            cells=len(self.library.cells),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Which cells of the library no design is mapped to, and why."""
        reasons: dict[str, list[str]] = {}
        for cell in self.library.cells.values():
            if cell.unused:
                reasons.setdefault(cell.unused, []).append(cell.name)
        listed = [
            f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} ({reason})"
            for reason, names in reasons.items()
        ]
        if len(listed) > _SHOWN_REASONS:
            listed[_SHOWN_REASONS:] = [f"others for {len(listed) - _SHOWN_REASONS} more reasons"]
        return (f"Nothing is mapped to these cells of the library: {', '.join(listed)}.",) if listed else ()

    @property
    def constants(self) -> tuple[SourcedValue, ...]:
        """The library's own numbers."""
        node = self.node.node
        voltage = f"{self.library.voltage:g} V"
        return (
            SourcedValue(
                name="technology node",
                value=node_nm(node),
                unit="nm",
                source=self.node.source,
                assumed=self.node.assumed,
            ),
            SourcedValue(
                name="supply of cells and memories",
                value=self.library.voltage,
                unit="V",
                node=node,
                source=f"{self.liberty.name}, operating conditions",
            ),
            SourcedValue(
                name="clock",
                value=self.frequency_hz / 1e6,
                unit="MHz",
                node=node,
                voltage=voltage,
                source="hardware description",
            ),
        )
