"""Area, timing, power and energy of spiking against dense, as typed results: what `spikesim compare` measures.

A *design* is something that was synthesised (the spiking core, its dense twin, the twin that skips zeros, an array
alone, an FP8 array). A *basis* is a fair way to set spiking beside either twin. Areas are µm², powers mW at the clock,
energies µJ per token unless a name says otherwise; power is leakage + internal + switching, glitches included.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikesim.results.base import SKIPPING, Rates, Result
from spikesim.results.energy import Energies

BasisName = Literal["unit", "unit_plane", "equal_throughput", "row_memory", "core"]
"""Per unit (same ways and lanes, per cycle), and the same in plane order where that is not the order of the hardware;
array and encoder at equal throughput; array, encoder and row memory at equal throughput; whole core with memories."""

Twin = Literal["dense", "skipping"]
"""The dense INT8 twin, and the one that skips zeros."""


class SourcedValue(Result):
    """A number that comes from outside."""

    name: str = Field(description="what it is")
    value: float = Field(description="in `unit`")
    unit: str = Field(description="unit of the value")
    node: str = Field(default="", description="technology node, such as 45 nm; empty if it has none")
    voltage: str = Field(default="", description="supply, such as 1.1 V; empty if it has none")
    source: str = Field(description="where it comes from; for an assumed one, why this value")
    assumed: bool = Field(default=False, description="has no source that could be cited")


class Timing(Result):
    """Static timing of a design: the longest path with clock to output, setup and the library's wire loads."""

    period_ns: float = Field(gt=0, description="clock period, ns")
    worst_slack_ns: float = Field(description="period − longest path, ns; negative if the clock is too fast")
    worst_path_ns: float = Field(ge=0, description="longest path, ns")
    start: str = Field(description="where it starts")
    end: str = Field(description="where it ends")
    memory_access_ns: float | None = Field(
        default=None, description="access time of the slowest memory of the design, ns"
    )
    memory_slack_ns: float | None = Field(
        default=None, description="what the paths through memories leave beyond their access times, ns"
    )


class Power(Result):
    """mW. `glitch`: what transitions that settle within the cycle add to internal and switching power."""

    leakage: float = Field(ge=0, description="leakage, mW")
    internal: float = Field(ge=0, description="inside cells, each net at most once per cycle, mW")
    switching: float = Field(ge=0, description="charging nets, each net at most once per cycle, mW")
    glitch: float = Field(default=0, ge=0, description="more of both by glitches, mW")

    @property
    def zero_delay(self) -> float:
        """mW without glitches."""
        return self.leakage + self.internal + self.switching

    @property
    def total(self) -> float:
        """mW."""
        return self.zero_delay + self.glitch


class UnitFigures(Result):
    """One part of a design."""

    unit: str = Field(description="array, encoder, pointwise, control, host, row memory, …")
    is_memory: bool = Field(default=False, description="a memory macro: modelled, not synthesised")
    area_um2: float = Field(ge=0, description="µm²")
    power: Power = Field(description="mean over the simulated cycles")


class Agreement(Result):
    """What was compared before a netlist's activity was used: its words against the simulator's."""

    tokens: int = Field(ge=0, description="tokens simulated, all streams together")
    cycles: int = Field(ge=0, description="clock cycles simulated, all streams together")
    values: int = Field(ge=0, description="words compared; all were equal")


class GlitchShare(Result):
    """With-glitch activity of a sample of cycles against the zero-delay activity of the same cycles."""

    cycles: int = Field(ge=0, description="cycles sampled")
    factor: float = Field(ge=0, description="dynamic power with glitches ÷ without")
    spread: float = Field(ge=0, description="standard deviation of the factor between parts of the sample")


class Design(Result):
    """A synthesised design and what running the model's tokens on it cost."""

    name: str = Field(description="short name: spiking_core, dense_core, dense_skip_core, spiking_array, …")
    label: str = Field(description="in words")
    cells: int = Field(ge=0, description="library cells")
    flip_flops: int = Field(ge=0, description="flip-flops among them")
    units: tuple[UnitFigures, ...] = Field(description="its parts; areas and powers add up")
    cycles_per_token: float = Field(gt=0, description="clock cycles per token, mean")
    timing: Timing = Field(description="at the clock")
    lockstep: Agreement = Field(description="what was checked")
    glitches: GlitchShare = Field(description="how much glitches add")

    @property
    def area_um2(self) -> float:
        """µm², memories included."""
        return sum(unit.area_um2 for unit in self.units)

    @property
    def power_mw(self) -> float:
        """mW, glitches included."""
        return sum(unit.power.total for unit in self.units)


class Saving(Result):
    """1 − spiking ÷ dense, as shares: 0.706 is −70.6 %; negative if spiking takes more.

    Of tokens per second, of which more is better, it is spiking ÷ dense − 1.
    """

    area: float = Field(description="of area")
    power: float = Field(description="of power")
    power_zero_delay: float = Field(description="of power without glitches")
    energy: float = Field(description="of energy per token")
    tokens_per_s: float | None = Field(
        default=None,
        description="more tokens per second at equal area: 0.5 is +50 %; None in documents of version 1",
    )


class Beside(Result):
    """Spiking beside one of its twins on a basis. What is of the other twin is its own, not made equal to anything.

    Tokens per second at equal area: each design is repeated, in parts of one if need be, until it has the area that the
    twin has on this basis, and every copy works on tokens of its own: clock ÷ cycles per token × twin's area ÷ area.
    """

    twin: Twin = Field(default="dense", description="which one")
    area_um2: Rates = Field(
        description="µm²; at equal throughput spiking's array is times its cycles ÷ the twin's"
    )
    power_mw: Rates = Field(description="mW, glitches included; at equal throughput likewise")
    power_zero_delay_mw: Rates = Field(description="the same without glitches")
    energy_per_token_uj: Rates = Field(description="µJ")
    tokens_per_s_at_equal_area: Rates | None = Field(
        default=None, description="with the twin's area for each; None in documents of version 1"
    )
    cycle_ratio: float = Field(gt=0, description="spiking cycles ÷ the twin's for the same work")
    reduction: Saving = Field(description="what spiking saves of the twin's")


class Basis(Beside):
    """Spiking beside the dense twin on one basis, and beside the twin that skips zeros on the same."""

    name: BasisName = Field(description="which")
    label: str = Field(description="in words")
    condition: str = Field(description="under which the figures hold: what is in them and what is not")
    skipping: Beside | None = Field(
        default=None, description="beside the twin that skips zeros; None in documents of version 1"
    )
    published: dict[str, float] = Field(
        default={}, description="published reductions to set beside, as shares"
    )
    others: dict[str, Saving] = Field(
        default={}, description="against other baselines on the same basis, by label"
    )


class Baseline(Result):
    """Another arithmetic, per multiply-accumulate or event at full use of the array."""

    label: str = Field(description="dense INT8, dense INT8 that skips zeros, FP8 E4M3, FP16 (published), …")
    area_um2: float | None = Field(default=None, description="per way and lane, µm²; None if not known")
    energy_pj: float | None = Field(default=None, description="per multiply-accumulate or event, pJ")
    worst_slack_ns: float | None = Field(default=None, description="at the clock; None if not synthesised")
    note: str = Field(description="how it was measured, or its source")


class OperationEnergy(Result):
    """Where a token's energy goes."""

    operation: str = Field(description="kind of instruction or memory access")
    spiking_uj: float = Field(ge=0, description="µJ per token")
    dense_uj: float = Field(ge=0, description="µJ per token")
    skipping_uj: float | None = Field(default=None, ge=0, description=SKIPPING)


class EventEnergy(Result):
    """Energy of single things, pJ; of the units named, leakage and clock included."""

    name: str = Field(description="per event, per row read, per multiply-accumulate")
    spiking_pj: float | None = Field(default=None, description="pJ; None where there is no such thing")
    dense_pj: float | None = Field(default=None, description="pJ")
    skipping_pj: float | None = Field(default=None, description=SKIPPING)


class BreakEvenPoint(Result):
    """One measured point: array and encoder at equal throughput, with one setting changed."""

    parameter: str = Field(description="setting that is changed: threshold_k, window, coding, ways, …")
    value: str = Field(description="its value")
    sparsity: float = Field(description="1 − spikes ÷ (7 × values), as a share")
    events_per_value: float = Field(ge=0, description="events per activation value")
    cycle_ratio: float = Field(gt=0, description="spiking ÷ dense cycles")
    area_reduction: float = Field(description="at equal throughput, as a share")
    energy_reduction: float = Field(description="at equal throughput, as a share")


class LibraryFacts(Result):
    """The cell library."""

    name: str = Field(description="as it names itself")
    file: str = Field(description="file name")
    voltage_v: float = Field(description="V")
    temperature_c: float = Field(description="°C")
    cells: int = Field(description="cells in it")


class Comparison(Result):
    """Everything `spikesim compare` measured."""

    clock_mhz: float = Field(gt=0, description="MHz")
    library: LibraryFacts = Field(description="the cells")
    tokens: str = Field(description="which tokens the activity comes from, one sentence")
    bases: tuple[Basis, ...] = Field(description="per unit, equal throughput, with row memory, whole core")
    designs: tuple[Design, ...] = Field(description="what was synthesised and simulated")
    baselines: tuple[Baseline, ...] = Field(description="other arithmetics, per operation")
    operations: tuple[OperationEnergy, ...] = Field(description="energy per token by operation")
    events: tuple[EventEnergy, ...] = Field(description="energy of single things")
    break_even: tuple[BreakEvenPoint, ...] = Field(default=(), description="measured points")
    energies: Energies | None = Field(
        default=None, description="rates for estimates of other models; None in documents of version 1"
    )
    notes: tuple[str, ...] = Field(default=(), description="what a reader must know, one sentence each")
    seconds: dict[str, float] = Field(default={}, description="wall-clock seconds per stage; 0 if cached")
