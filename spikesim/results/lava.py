"""What `spikesim lava` found, as typed results: the run on Lava, its traffic, and what a Loihi-style chip would hold.

A run is *exact* if no word, spike, state or count differs from the golden model. Placement, time steps and energy are
analysis: no chip was used, and `LavaRun.statement` says so wherever they are shown.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikesim.results.base import Result
from spikesim.results.comparison import SourcedValue

STATEMENT = "verified on Lava's fixed-point simulator; no Loihi hardware was used"
"""What every figure of a run must be read with."""

FAILED_STATEMENT = "run on Lava's fixed-point simulator; no Loihi hardware was used"
"""The same for a run that differs, which verifies nothing."""

LavaCoding = Literal["graded", "signed_digit", "bitwise", "twos_complement", "ternary"]
"""How counts travel to the matrices: as one graded spike, or bit-serially in a coding of the core."""

Share = Literal["neurocore", "processor"]
"""Where an instruction runs on a chip: on neurocores, or on the processors embedded beside them."""


class LavaDifference(Result):
    """A word, spike, state word or count that Lava has and golden has not."""

    what: Literal["word", "spike", "cache", "state", "count", "output", "transit"] = Field(
        description="kind of number; transit: what arrived at a stage is not what was sent"
    )
    program: str = Field(description="program, such as layer_00")
    stage: int = Field(ge=0, description="stage of the program, from 0")
    name: str = Field(description="vector, matrix, cache or state")
    token: int = Field(ge=0, description="token, from 0")
    word: int = Field(ge=0, description="index within the vector, from 0")
    got: int = Field(description="on Lava")
    expected: int = Field(description="by the golden model")

    def __str__(self) -> str:
        """Return the sentence that the terminal and the report show."""
        return (
            f"{self.what}: program {self.program}, stage {self.stage}, {self.name}, token {self.token}, "
            f"word {self.word}: got {self.got}, expected {self.expected}"
        )


class Compared(Result):
    """How many numbers of a kind were compared, and how many of them differ."""

    words: int = Field(default=0, ge=0, description="words that instructions wrote, outputs included")
    spikes: int = Field(default=0, ge=0, description="spike slots: channels × time steps into matrices")
    states: int = Field(default=0, ge=0, description="words of caches and states after the last token")
    counts: int = Field(
        default=0, ge=0, description="spike counts of gathers and scatters against the account"
    )
    different: int = Field(default=0, ge=0, description="how many of all these differ")


class ProgramRun(Result):
    """One program on Lava."""

    name: str = Field(description="program, such as layer_00")
    kind: str = Field(description="kind of layer, or position or head")
    stages: int = Field(ge=1, description="stages between matrices, one Lava Process each")
    processes: int = Field(ge=1, description="Lava Processes: stages, Dense, Horner")
    matrices: int = Field(ge=0, description="matrix gathers, each a Dense")
    compared: Compared = Field(description="what was compared")
    spikes_per_token: float = Field(ge=0, description="spikes that travelled into matrices, per token")
    synaptic_operations_per_token: float = Field(
        ge=0, description="spikes × outputs that they reach, per token"
    )


class Traffic(Result):
    """What the matrix gathers of all programs that ran would send in one coding, per token."""

    coding: str = Field(description="graded, dense, or a coding of the core")
    planes: int = Field(ge=1, description="time steps per value")
    spikes_per_token: float = Field(ge=0, description="spikes into matrices; dense: all values")
    synaptic_operations_per_token: float = Field(ge=0, description="spikes × outputs that they reach")
    ran: bool = Field(default=False, description="this coding is the one that ran on Lava")


class InstructionWidth(Result):
    """How wide the words and products of a kind of instruction became, over all tokens."""

    op: str = Field(description="kind of instruction")
    words: int = Field(ge=0, description="words written")
    beyond_24_bits: int = Field(ge=0, description="words that do not fit 24 signed bits")
    widest_word_bits: int = Field(ge=0, description="bits of the widest word, sign included")
    widest_product_bits: int = Field(
        ge=0, description="bits of the widest product or sum, sign included; 0: none"
    )
    vectors: tuple[str, ...] = Field(default=(), description="vectors that hold words beyond 24 bits")


class Steps(Result):
    """Time steps: of the network that ran, and by analysis with one neuron group per instruction."""

    stages: int = Field(ge=1, description="stages of all programs, one after the other")
    planes: int = Field(ge=1, description="time steps per token in each stage")
    run: int = Field(ge=1, description="time steps of the whole run")
    latency: int = Field(ge=1, description="analysis: steps from a token's words to its result, longest path")
    interval: int = Field(
        ge=1, description="analysis: steps until the next token may follow, longest recurrence"
    )
    interval_of: str = Field(default="", description="the cache or state that decides the interval")


class Demand(Result):
    """What one part of a program asks of a chip."""

    program: str = Field(description="program, such as layer_00")
    name: str = Field(description="matrix, cache, state or what the instructions do")
    part: Literal["matrix", "pointwise", "cache", "state", "processor"] = Field(description="kind of part")
    on: Share = Field(description="where it runs")
    neurons: int = Field(default=0, ge=0, description="neurons, or neuron variables of a cache or state")
    synapses: int = Field(default=0, ge=0, description="synapses")
    synaptic_bytes: int = Field(default=0, ge=0, description="synaptic memory, bytes")
    cores: float = Field(
        default=0, ge=0, description="neurocores it fills: neurons or synaptic memory, whichever is more"
    )
    words: int = Field(default=0, ge=0, description="words per token that a processor computes")
    note: str = Field(default="", description="why it lies there, or what does not fit")


class CoreUse(Result):
    """One neurocore of the picture."""

    program: str = Field(description="program that filled most of it")
    part: Literal["matrix", "pointwise", "cache", "state"] = Field(
        description="kind of part that filled most of it"
    )
    neurons: float = Field(ge=0, description="share of its neurons in use (0 … 1)")
    memory: float = Field(ge=0, description="share of its synaptic memory in use (0 … 1)")


class LayerUse(Result):
    """What one program takes of the target."""

    program: str = Field(description="program")
    kind: str = Field(description="kind of layer")
    cores: int = Field(ge=0, description="neurocores, no other program on them")
    neurons: int = Field(ge=0, description="neurons")
    synapses: int = Field(ge=0, description="synapses")
    synaptic_bytes: int = Field(ge=0, description="synaptic memory, bytes")
    processor_words: int = Field(ge=0, description="words per token on embedded processors")
    placed: bool = Field(default=True, description="there was room")
    fits: bool = Field(description="there was room, and every weight, sum and spike is as narrow as needed")
    why: str = Field(default="", description="what does not fit, one sentence; empty if all does")


class EnergyEstimate(Result):
    """Energy of the neurocores per token, where every constant has a source; an estimate."""

    synaptic_uj: float = Field(ge=0, description="synaptic operations, µJ")
    neurons_uj: float | None = Field(default=None, description="neuron updates, µJ; None without a constant")
    spikes_uj: float | None = Field(default=None, description="spike messages, µJ; None without a constant")
    note: str = Field(description="what is in it and what is left out")


class Placement(Result):
    """A chain of programs on a target."""

    target: str = Field(description="name of the target, such as Loihi 2")
    coding: LavaCoding = Field(description="how counts travel to the matrices")
    chips: int = Field(ge=1, description="chips the target has")
    chips_used: int = Field(ge=0, description="chips that hold something")
    cores_used: int = Field(ge=0, description="neurocores that hold something")
    cores_available: int = Field(ge=1, description="neurocores of all chips")
    cores_per_chip: int = Field(ge=1, description="neurocores of one chip")
    processors: int = Field(ge=0, description="embedded processors of one chip")
    programmable: bool = Field(default=True, description="neurons run microcode; else they only add and fire")
    neurons_per_core: int = Field(ge=1, description="neurons that a core has room for")
    memory_per_core: int | None = Field(
        default=None, description="memory of a core that synapses are counted against, bytes; None: no figure"
    )
    limits: tuple[SourcedValue, ...] = Field(
        description="every limit and energy of the target, with its source"
    )
    demands: tuple[Demand, ...] = Field(description="parts of all programs, in order")
    layers: tuple[LayerUse, ...] = Field(description="per program")
    cores: tuple[CoreUse, ...] = Field(
        default=(), description="neurocores in use, in order; of many chips the first few"
    )
    context: int = Field(
        default=0, ge=0, description="tokens that growing caches are laid out for; 0: none grows"
    )
    longest_context: int | None = Field(
        default=None,
        description="longest context with room for all programs, tokens; None: none grows; 0: none fits",
    )
    step_ns: float | None = Field(
        default=None, description="a time step takes at least this, ns; None: nothing is public"
    )
    step_note: str = Field(default="", description="where that comes from")
    energy: EnergyEstimate | None = Field(
        default=None, description="per token; None where no constant is public"
    )
    energy_note: str = Field(default="", description="why there is no energy, if there is none")
    notes: tuple[str, ...] = Field(default=(), description="what a reader should know")

    @property
    def fits(self) -> bool:
        """Whether every program has room."""
        return all(layer.fits for layer in self.layers)


class LavaRun(Result):
    """One run of `spikesim lava`."""

    statement: str = Field(default=STATEMENT, description="what was used and what was not")
    coding: LavaCoding = Field(description="how counts travelled")
    tokens: int = Field(ge=1, description="tokens that ran")
    context: int = Field(ge=1, description="longest context the programs keep keys and values for, tokens")
    exact: bool = Field(description="nothing differs")
    differences: tuple[LavaDifference, ...] = Field(default=(), description="the first differences")
    programs: tuple[ProgramRun, ...] = Field(description="per program, in order")
    traffic: tuple[Traffic, ...] = Field(description="dense, graded and every coding")
    widths: tuple[InstructionWidth, ...] = Field(description="per kind of instruction")
    steps: Steps = Field(description="time steps")
    placement: Placement = Field(description="on the target")
    networks: int = Field(ge=1, description="Lava networks that ran one after the other")
    processes: int = Field(ge=1, description="Lava Processes of all networks")
    seconds: dict[str, float] = Field(description="wall-clock seconds by stage")
    memory_bytes: int | None = Field(
        default=None, description="proportional memory of the largest network, bytes"
    )

    @property
    def compared(self) -> Compared:
        """All programs together."""
        sums = [program.compared for program in self.programs]
        return Compared(**{name: sum(getattr(c, name) for c in sums) for name in Compared.model_fields})

    def traffic_of(self, coding: str) -> Traffic:
        """The row of a coding."""
        return next(row for row in self.traffic if row.coding == coding)
