"""`CoreConfig`: everything the generator has to know, derived from a hardware configuration and what will run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from spikesim.cores import CoreName
from spikesim.errors import HardwareError
from spikesim.hardware import Coding, HardwareConfig, Order
from spikesim.program.sizes import INSTRUCTION_WORDS, fitted
from spikesim.rtl.isa import POSITION_BITS
from spikesim.support.arithmetic import ceil_div
from spikesim.widths import ArrayWidths

Target = Literal["asic", "fpga"]


@dataclass(frozen=True, kw_only=True)
class CoreConfig(ArrayWidths):
    """Parameters of one generated core. Every combination that `core_config` lets through can be built.

    * `dense`: the INT8 twin; same memories, program and pointwise unit, an INT8 × INT8 multiplier per way and lane
      in place of the gated adder, a row per bank and cycle in place of events. `skip_zeros`: in a gather only the
      rows whose count is not zero, each bank its own.
    * `ways`, `lanes`, `order`, `row_planes`, `coding`, `accumulator_bits`, `scan_bits`, `skew`, `state_banks`: as in
      `HardwareConfig`.
    * `row_depth`: words of `lanes` · 8 bits per bank of row memory. `state_depth`: words of `lanes` · 16 bits per bank;
      0: no state, and nothing that updates one.
    * `vector_depth`: 32-bit words of vector memory. `program_depth`: instructions.
    * `encoder_rows`: counts per bank that the event encoder holds. `scatter_rows`: the same for a scatter.
    * `blocks`: blocks of keys one gather can read, the token's own included.
    * `load_width`, `drain_width`: as in `HardwareConfig`.
    * `pointwise_words`: words that the pointwise unit takes per cycle.
    * `context`: positions that a program may ask for; a token beyond them is refused.
    * `trace`: ports that show what the core does (`trace_signature`).
    * `target`: what multipliers and tables are made of, gates or the blocks of an FPGA. It decides what is between two
      registers there, and changes neither a value nor a cycle.
    """

    ways: int = 8
    lanes: int = 64
    order: Order = "plane"
    row_planes: int = 4
    coding: Coding = "signed_digit"
    dense: bool = False
    skip_zeros: bool = False
    accumulator_bits: int = 28
    scan_bits: int = 16
    skew: int = 1
    state_banks: int = 2
    row_depth: int = 4096
    state_depth: int = 256
    vector_depth: int = 65536
    program_depth: int = 4096
    encoder_rows: int = 1024
    scatter_rows: int = 64
    blocks: int = 8
    load_width: int = 16
    drain_width: int = 8
    pointwise_words: int = 4
    context: int = 2**POSITION_BITS
    trace: bool = False
    target: Target = "asic"

    @property
    def core(self) -> CoreName:
        """Which of the cores that are compared this is."""
        return "skipping" if self.skip_zeros else "dense" if self.dense else "spiking"

    @property
    def turns(self) -> int:
        """Banks of an update unit, which it serves one after the other; without states 1: nothing takes turns."""
        return self.ways // self.update_units if self.state_depth else 1

    @property
    def read_words(self) -> int:
        """Whole words of vector memory that a port reads per cycle."""
        return self.pointwise_words

    @property
    def written_words(self) -> int:
        """Words of vector memory that are written per cycle."""
        return max(self.pointwise_words, self.drained)

    @property
    def vector_banks(self) -> int:
        """Banks of vector memory: as many as the longest run that is read or written in a cycle."""
        return self.longest_run(self.pointwise_words)


class Datapath(TypedDict):
    """The flags of `CoreConfig` that tell the cores apart."""

    dense: bool
    skip_zeros: bool


def datapath(core: CoreName) -> Datapath:
    """The flags of `CoreConfig` that make this core.

    >>> datapath("spiking"), datapath("skipping")
    ({'dense': False, 'skip_zeros': False}, {'dense': True, 'skip_zeros': True})
    """
    return {"dense": core != "spiking", "skip_zeros": core == "skipping"}


def core_config(
    hardware: HardwareConfig,
    *,
    dense: bool = False,
    skip_zeros: bool = False,
    instructions: int = 0,
    encoder_rows: int | None = None,
    scatter_rows: int | None = None,
    blocks: int | None = None,
    context: int | None = None,
    trace: bool = False,
    target: Target = "asic",
) -> CoreConfig:
    """The core of a hardware configuration; its context and sizes of the encoder from the programs, else from `limits`.

    Memories that are still to be fitted have the sizes of a core for models yet to come, `sizes.GENERAL`.
    `instructions`: program memory is at least this deep. Raises HardwareError for what cannot be built.
    """
    hardware = fitted(hardware)
    array, memory = hardware.array, hardware.memory
    if skip_zeros and not dense:
        raise HardwareError("skip_zeros is of the dense twin: a spiking core has no events of zeros to skip")
    if hardware.limits.max_context > 2**POSITION_BITS:
        raise HardwareError(
            f"limits.max_context must be at most {2**POSITION_BITS} for a core in RTL, whose position register has "
            f"{POSITION_BITS} bits, not {hardware.limits.max_context}"
        )
    if encoder_rows is None:
        longest = max(hardware.limits.max_channels, hardware.limits.max_context)
        encoder_rows = ceil_div(longest, array.ways)
    return CoreConfig(
        ways=array.ways,
        lanes=array.lanes,
        order=array.order,
        row_planes=array.row_planes,
        coding=hardware.numerics.coding,
        dense=dense,
        skip_zeros=skip_zeros,
        accumulator_bits=array.accumulator_bits,
        scan_bits=array.scan_bits,
        skew=array.skew,
        load_width=array.load_width,
        drain_width=array.drain_width,
        state_banks=array.state_banks,
        row_depth=hardware.rows_per_bank,
        state_depth=hardware.state_rows_per_bank,
        vector_depth=int(memory.vector_words),
        program_depth=max(int(memory.program_words) // INSTRUCTION_WORDS, instructions, 2),
        encoder_rows=max(encoder_rows, 1),
        scatter_rows=ceil_div(256, array.ways) if scatter_rows is None else max(scatter_rows, 1),
        blocks=8 if blocks is None else max(blocks, 2),
        pointwise_words=hardware.pointwise.words,
        context=hardware.limits.max_context if context is None else context,
        trace=trace,
        target=target,
    )
