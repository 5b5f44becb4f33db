"""What a spike core is: one frozen configuration, read from a TOML file; each section is a class below.

`HardwareConfig.numerics` is what changes values. Everything else may change cycles, area and capacity, never
a value. Every wrong setting is a `HardwareError` of the form
"array.lanes must be a power of two from 1 to 256, not 0".
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from spikesim.errors import HardwareError
from spikesim.support.arguments import as_path
from spikesim.support.nearest import named, nearest
from spikesim.support.reading import MEBIBYTE, read_text, reading
from spikesim.support.shown import shown
from spikesim.widths import ArrayWidths

Coding = Literal["bitwise", "ternary", "twos_complement", "signed_digit"]
Activation = Literal["threshold", "int8"]
Order = Literal["plane", "row", "window"]
Fit = Literal["fit"]
"""A size that follows from the programs."""

KIB = 1024
"""Bytes in a KiB."""
STATE_BYTES = 2
"""Bytes of one SSE state element (INT16)."""


@dataclass(frozen=True)
class Within:
    """The legal range of a number, ends included; prints as the rule in the error sentence.

    `or_fit`: "fit" in its place is legal too.
    """

    low: int | float
    high: int | float
    power_of_two: bool = False
    or_fit: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the range after pydantic has checked the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def check(self, value: float | str) -> float | str:
        """Return `value`, or raise `ValueError` if it is out of range (NaN always is)."""
        if isinstance(value, str):
            return value
        legal = self.low <= value <= self.high
        if self.power_of_two:
            legal = legal and int(value).bit_count() == 1
        if not legal:
            raise ValueError(f"must be {self}")
        return value

    def __str__(self) -> str:
        """Return the rule in words: "a power of two from 1 to 256"."""
        if self.power_of_two:
            kind = "a power of two"
        else:
            kind = "a whole number" if isinstance(self.low, int) else "a number"
        ends = (f"{end:g}" if isinstance(end, float) else str(end) for end in (self.low, self.high))
        return ('"fit" or ' if self.or_fit else "") + f"{kind} from " + " to ".join(ends)


class _Section(BaseModel):
    """A table of the TOML file. Its docstrings per field say unit and meaning, `Within` says the range."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)

    section: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise HardwareError(_sentence(cls, cls.section, error)) from None


class ArrayConfig(ArrayWidths, _Section):
    """The event array: `ways` banks × `lanes` columns. Row i of a matrix lies in bank i mod ways."""

    section: ClassVar[str] = "array"

    ways: Annotated[int, Within(1, 64, power_of_two=True)] = 8
    """Banks, each delivering at most one row per cycle."""
    lanes: Annotated[int, Within(1, 256, power_of_two=True)] = 64
    """Columns, each with one adder tree over the ways and one accumulator."""
    order: Order = "window"
    """Order of events: all of a bit plane in succession (no shifter), all of a row (one read per row), or all of a row
    within a window of planes, those above it in a pass before."""
    row_planes: Annotated[int, Within(4, 7)] = 4
    """Planes, in window order, of the window: 0 … row_planes − 1. No more lie above it, so that fewer than 4 would need
    as large a shifter for them."""
    accumulator_bits: Annotated[int, Within(16, 48)] = 28
    """Width of a lane's accumulator. The compiler proves it sufficient; accumulators wrap, never saturate."""
    scan_bits: Annotated[int, Within(1, 256, power_of_two=True)] = 16
    """Plane bits the event encoder scans at once."""
    skew: Annotated[int, Within(0, 1)] = 1
    """Planes, in plane order, that a bank may be behind the others; its rows are shifted by as many."""
    load_width: Annotated[int, Within(1, 64, power_of_two=True)] = 16
    """Counts that enter the event encoders per cycle; no more than one per bank (`loaded`)."""
    drain_width: Annotated[int, Within(1, 64, power_of_two=True)] = 8
    """Sums written to vector memory per cycle; no more than there are lanes (`drained`)."""
    state_banks: Annotated[int, Within(1, 64, power_of_two=True)] = 2
    """Banks of state memory that are updated at once; more than there are count as all."""


class PointwiseConfig(_Section):
    """The pointwise unit: all vector arithmetic that is not a product of a matrix and counts."""

    section: ClassVar[str] = "pointwise"

    words: Annotated[int, Within(1, 16, power_of_two=True)] = 8
    """Words per cycle: lanes of the unit, whose runs vector memory reads and writes at once."""


class ClockConfig(_Section):
    """The one clock of the design."""

    section: ClassVar[str] = "clock"

    frequency_hz: Annotated[int, Within(1_000, 10_000_000_000)] = 500_000_000
    """Clock frequency in Hz."""

    @property
    def period_ns(self) -> float:
        """Clock period in ns."""
        return 1e9 / self.frequency_hz


class MemoryConfig(_Section):
    """The memories of one core: a capacity, or "fit", what the programs need (`spikesim.program.sizes.fitted`)."""

    section: ClassVar[str] = "memory"

    row_kib: Annotated[int | Fit, Within(1, 4_194_304, or_fit=True)] = "fit"
    """INT8 row memory in KiB: weights, K/V cache, block means."""
    state_kib: Annotated[int | Fit, Within(1, 4_194_304, or_fit=True)] = "fit"
    """INT16 SSE state in KiB."""
    vector_words: Annotated[int | Fit, Within(256, 16_777_216, or_fit=True)] = "fit"
    """Vector memory in words of 32 bits."""
    program_words: Annotated[int | Fit, Within(64, 16_777_216, or_fit=True)] = "fit"
    """Program memory in words."""


class SystemConfig(_Section):
    """How many cores there are and how events reach them."""

    section: ClassVar[str] = "system"

    cores: Annotated[int, Within(1, 4096)] = 1
    """Cores; the outputs of a matrix are split over them."""
    broadcast_latency_cycles: Annotated[int, Within(0, 1_000_000)] = 16
    """Cycles from one core's output to every core's input, paid once per instruction with several cores."""
    broadcast_words_per_cycle: Annotated[int, Within(1, 1024)] = 4
    """Vector words of 32 bits that the broadcast moves per cycle."""


class DramConfig(_Section):
    """Memory outside the cores: what does not fit into row memory streams from here."""

    section: ClassVar[str] = "dram"

    bandwidth_bytes_per_s: Annotated[float, Within(1e3, 1e15)] = 25_600_000_000.0
    """Sustained read bandwidth in bytes per second, shared by all cores."""


class LimitsConfig(_Section):
    """What memories are laid out for."""

    section: ClassVar[str] = "limits"

    max_context: Annotated[int, Within(1, 16_777_216)] = 4096
    """Longest sequence in tokens that a model may be mapped for; of a mapping, the longest it was mapped for."""
    resident_kib: Annotated[int, Within(1, 4_194_304)] = 4096
    """Most KiB of row and state memory together that are fitted to hold everything; beyond it everything streams."""
    max_channels: Annotated[int, Within(1, 16_777_216)] = 16384
    """Most input channels of a matrix: what the event encoder of a core generated without a model has room for."""


class NumericsConfig(_Section):
    """What changes values: how numbers become spikes."""

    section: ClassVar[str] = "numerics"

    coding: Coding = "signed_digit"
    """How an integer becomes events: "signed_digit" (non-adjacent form, the fewest events), "bitwise" (sign and
    magnitude in bit planes), "twos_complement" or "ternary"."""
    activation: Activation = "threshold"
    """Where integers come from: the adaptive threshold per token, or INT8 scaled by the largest magnitude."""
    head_activation: Activation = "int8"
    """The same of the input of a language model's output head."""
    threshold_k: Annotated[float, Within(0.25, 16.0)] = 3.0
    """Threshold = mean |x| / threshold_k; larger means finer integers and more spikes."""
    window: Annotated[int, Within(1, 7)] = 7
    """Bit planes of an activation. Integers beyond ±(2^window − 1) saturate and are counted as clipped."""
    softmax_bits: Annotated[int, Within(1, 7)] = 7
    """Bits of an unsigned softmax weight."""
    state_bits: Annotated[int, Within(16, 16)] = 16
    """Bits of an SSE state element; 16 is the only width there is."""

    @property
    def limit(self) -> int:
        """Largest magnitude of an activation integer, 2^window − 1."""
        return (1 << self.window) - 1


M = TypeVar("M", bound=BaseModel)

_LIMIT = MEBIBYTE
"""Bytes of a TOML file: a thousand times what one needs."""


def read_toml(kind: type[M], path: str | os.PathLike[str], what: str) -> M:
    """Read a TOML file into a model that raises `HardwareError`. Every such error names the file, as a `what`."""
    try:
        text = read_text(Path(path), "a TOML file", HardwareError, limit=_LIMIT)
        with reading(Path(path), "a TOML file", HardwareError):
            table = tomllib.loads(text)
    except HardwareError as error:
        raise HardwareError(f"{what} {error}") from None
    try:
        return kind.model_validate(table)
    except HardwareError as error:
        raise HardwareError(f"{what} {path}: {error}") from None


class HardwareConfig(BaseModel):
    """A spike core and the system around it. Frozen and hashable; settings left out have their default.

    Raises `HardwareError` however it is made: from arguments, `from_toml` or `replace`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    array: ArrayConfig = Field(default_factory=ArrayConfig)
    pointwise: PointwiseConfig = Field(default_factory=PointwiseConfig)
    clock: ClockConfig = Field(default_factory=ClockConfig)
    memory: MemoryConfig = Field(default_factory=MemoryConfig)
    system: SystemConfig = Field(default_factory=SystemConfig)
    dram: DramConfig = Field(default_factory=DramConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    numerics: NumericsConfig = Field(default_factory=NumericsConfig)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a hardware file. Every `HardwareError` names the file."""
        return read_toml(cls, as_path(path, "a hardware file", HardwareError), "hardware file")

    def to_toml(self) -> str:
        """Return all settings as text that `from_toml` reads back to an equal configuration."""
        tables = [
            "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())])
            for name, table in self.model_dump().items()
        ]
        return "\n\n".join(tables) + "\n"

    def replace(self, **changes: object) -> Self:
        """Return a checked copy with some settings changed: `hw.replace(**{"array.lanes": 16})`."""
        tables = self.model_dump()
        for name, value in changes.items():
            section, _, setting = name.partition(".")
            if section not in tables or not setting:
                raise HardwareError(
                    f"a setting must be named section.name, such as array.lanes, not {named(name)}"
                )
            tables[section][setting] = value
        return self.model_validate(tables)

    def values_key(self) -> tuple[tuple[str, int | float | str], ...]:
        """Return the settings that change values, hashable: equal keys give bit-equal results."""
        return tuple(self.numerics.model_dump().items())

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one bank in row memory: an INT8 per lane."""
        return self.array.lanes

    @property
    def row_memory_bytes(self) -> int:
        """Row memory of one core in bytes. This and what follows of a memory is for sizes that are known."""
        return _known(self.memory.row_kib, "memory.row_kib") * KIB

    @property
    def rows_per_bank(self) -> int:
        """Whole rows that fit into one bank's share of row memory."""
        return self.row_memory_bytes // (self.array.ways * self.row_bytes)

    @property
    def state_row_bytes(self) -> int:
        """Bytes of one row of one bank in state memory: an INT16 per lane."""
        return self.array.lanes * STATE_BYTES

    @property
    def state_memory_bytes(self) -> int:
        """State memory of one core in bytes."""
        return _known(self.memory.state_kib, "memory.state_kib") * KIB

    @property
    def state_rows_per_bank(self) -> int:
        """Whole rows that fit into one bank's share of state memory."""
        return self.state_memory_bytes // (self.array.ways * self.state_row_bytes)

    @property
    def vector_banks(self) -> int:
        """Banks of vector memory: the longest run that is read or written in a cycle."""
        return self.array.longest_run(self.pointwise.words)

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bytes that arrive from DRAM per clock cycle, for all cores together."""
        return self.dram.bandwidth_bytes_per_s / self.clock.frequency_hz

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            config = handler(values)
        except ValidationError as error:
            raise HardwareError(_sentence(cls, "", error)) from None
        config._check_sizes()
        return config

    def _check_sizes(self) -> None:
        """Raise `HardwareError` for settings that are legal each but not together."""
        memory, lanes, ways = self.memory, self.array.lanes, self.array.ways
        for name, have, least in (
            ("row_kib", memory.row_kib, self.least_row_kib),
            ("state_kib", memory.state_kib, self.least_state_kib),
        ):
            if have != "fit" and have < least:
                raise HardwareError(
                    f"memory.{name} must be at least {least}, one row of {lanes} lanes for each of {ways} ways, "
                    f"not {have}"
                )
        if self.array.order == "window" and self.numerics.coding == "bitwise" and self.array.row_planes > 6:
            raise HardwareError(
                "array.row_planes must be at most 6 for the bitwise coding, whose 7 planes leave none above a window "
                f"of more, not {self.array.row_planes}"
            )

    @property
    def least_row_kib(self) -> int:
        """KiB of row memory for one row of every bank."""
        return math.ceil(self.array.ways * self.row_bytes / KIB)

    @property
    def least_state_kib(self) -> int:
        """KiB of state memory for one row of every bank."""
        return math.ceil(self.array.ways * self.state_row_bytes / KIB)


def _known(size: int | Fit, name: str) -> int:
    if size == "fit":
        raise HardwareError(f'{name} must be a number before it is used, not "fit"')
    return size


def _sentence(model: type[BaseModel], section: str, error: ValidationError) -> str:
    """Turn the first problem pydantic found into one sentence that names the setting and its rule."""
    problem = error.errors(include_url=False, include_context=False)[0]
    if not problem["loc"]:
        name = section or "a hardware description"
        return f"{name} must be a table of settings, not {shown(problem['input'])}"
    key = str(problem["loc"][0])
    prefix = f"{section}." if section else ""
    name = f"{prefix}{key}"
    if problem["type"] == "extra_forbidden":
        kind = "setting" if section else "section"
        return f"{prefix}{named(key)} is not a {kind}; {nearest(key, model.model_fields)}"
    return f"{name} must be {_rule(model, key)}, not {shown(problem['input'])}"


def _rule(model: type[BaseModel], key: str) -> str:
    field = model.model_fields[key]
    for item in field.metadata:
        if isinstance(item, Within):
            return str(item.low) if item.low == item.high else str(item)
    return "one of " + ", ".join(f'"{choice}"' for choice in get_args(field.annotation))
