"""What a Loihi-style chip is: limits and constants read from a TOML file, each with its unit and its source.

Every setting is a table `{value, unit, source, assumed}`. `assumed = true` marks a value without a citable source; its
`source` then says why this value. What nobody has published is left out: the file has no such table, and neither limit
nor estimate is made of it. Loihi 1 and Loihi 2 come with the package (`shipped`).

Every wrong setting is a `HardwareError` of the form
"target file my.toml: core.neurons.value must be a whole number from 1 to 16777216, not 0".
"""

from __future__ import annotations

import importlib.resources
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from spikesim.errors import HardwareError
from spikesim.hardware import KIB, Within, read_toml
from spikesim.results.comparison import SourcedValue
from spikesim.support.nearest import named, nearest
from spikesim.support.shown import shown

DEFAULT = "loihi2"
"""The target of a command that names none."""

_MANY = 16_777_216


class Limit(BaseModel):
    """A number from outside: a limit of the chip, or what something costs on it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    value: int | float
    unit: str
    source: str
    assumed: bool = False


@dataclass(frozen=True)
class Quantity:
    """What a limit is: in words, its unit, and the range of its values."""

    label: str
    unit: str
    within: Within

    def check(self, name: str, limit: Limit) -> None:
        """Raise `HardwareError` if unit or value are not of this quantity, or nothing says where they come from."""
        if limit.unit != self.unit:
            raise HardwareError(f'{name}.unit must be "{self.unit}", not {shown(limit.unit)}')
        whole = isinstance(self.within.low, int)
        if not self.within.low <= limit.value <= self.within.high or (
            whole and limit.value != int(limit.value)
        ):
            raise HardwareError(f"{name}.value must be {self.within}, not {shown(limit.value)}")
        if not limit.source.strip():
            raise HardwareError(
                f'{name}.source must say where the value comes from (assumed: why this value), not ""'
            )


class _Section(BaseModel):
    """A section of the file; the `Quantity` of a field says what its limit must be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Chip(_Section):
    """The chips and what each of them has."""

    chips: Annotated[Limit, Quantity("chips", "chips", Within(1, 1_000_000))]
    neurocores: Annotated[Limit, Quantity("neurocores per chip", "neurocores", Within(1, 1_000_000))]
    processors: Annotated[Limit, Quantity("embedded processors per chip", "processors", Within(0, 1_000_000))]
    programmable: Annotated[Limit, Quantity("programmable neurons", "1 = yes", Within(0, 1))]
    neurons: Annotated[Limit | None, Quantity("neurons per chip", "neurons", Within(1, 10**12))] = None
    synapses: Annotated[Limit | None, Quantity("synapses per chip", "synapses", Within(1, 10**15))] = None


class Core(_Section):
    """One neurocore. `memory_kib` is all of its memory, `synaptic_kib` the part that holds synapses alone."""

    neurons: Annotated[Limit, Quantity("neurons per core", "neurons", Within(1, _MANY))]
    synaptic_kib: Annotated[Limit | None, Quantity("synaptic memory per core", "KiB", Within(1, _MANY))] = (
        None
    )
    memory_kib: Annotated[Limit | None, Quantity("memory per core", "KiB", Within(1, _MANY))] = None
    axons_in: Annotated[Limit | None, Quantity("axons into a core", "axons", Within(1, _MANY))] = None
    axons_out: Annotated[Limit | None, Quantity("axons out of a core", "axons", Within(1, _MANY))] = None


class Bits(_Section):
    """Widths."""

    weight: Annotated[Limit, Quantity("weight, at most", "bits", Within(1, 32))]
    state: Annotated[Limit, Quantity("state variable of a neuron", "bits", Within(8, 64))]
    payload: Annotated[Limit, Quantity("spike payload (0: binary spikes)", "bits", Within(0, 64))]


class Time(_Section):
    """How fast it can be."""

    shortest_step_ns: Annotated[Limit | None, Quantity("shortest time step", "ns", Within(0.0, 1e12))] = None
    neuron_update_ns: Annotated[Limit | None, Quantity("time of a neuron update", "ns", Within(0.0, 1e9))] = (
        None
    )


class Energies(_Section):
    """What single things cost on neurocores."""

    synaptic_operation_pj: Annotated[
        Limit | None, Quantity("energy of a synaptic operation", "pJ", Within(0.0, 1e9))
    ] = None
    neuron_update_pj: Annotated[
        Limit | None, Quantity("energy of a neuron update", "pJ", Within(0.0, 1e9))
    ] = None
    spike_in_tile_pj: Annotated[
        Limit | None, Quantity("energy of a spike within its tile", "pJ", Within(0.0, 1e9))
    ] = None
    spike_east_west_pj: Annotated[
        Limit | None, Quantity("energy of a spike per hop east or west", "pJ", Within(0.0, 1e9))
    ] = None
    spike_north_south_pj: Annotated[
        Limit | None, Quantity("energy of a spike per hop north or south", "pJ", Within(0.0, 1e9))
    ] = None


class Target(BaseModel):
    """A Loihi-style target. Frozen; raises `HardwareError` however it is made."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    chip: Chip
    core: Core
    bits: Bits
    time: Time = Field(default_factory=Time)
    energy: Energies = Field(default_factory=Energies)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a target file. Every `HardwareError` names the file."""
        return read_toml(cls, path, "target file")

    @property
    def chips(self) -> int:
        """Chips."""
        return int(self.chip.chips.value)

    @property
    def cores_per_chip(self) -> int:
        """Neurocores of one chip."""
        return int(self.chip.neurocores.value)

    @property
    def cores(self) -> int:
        """Neurocores of all chips."""
        return self.chips * self.cores_per_chip

    @property
    def processors(self) -> int:
        """Embedded processors of one chip."""
        return int(self.chip.processors.value)

    @property
    def programmable(self) -> bool:
        """Whether neurons run microcode of the user's; otherwise they only sum and fire."""
        return bool(self.chip.programmable.value)

    @property
    def neurons_per_core(self) -> int:
        """Neurons of a core; each that sends needs at least one axon out."""
        limits = [self.core.neurons] + ([self.core.axons_out] if self.core.axons_out else [])
        return min(int(limit.value) for limit in limits)

    @property
    def memory_is_shared(self) -> bool:
        """Whether no memory is known that holds synapses alone: the states of neurons then count as well."""
        return self.core.synaptic_kib is None

    @property
    def memory_bits(self) -> int | None:
        """Memory of a core that synapses are counted against, bits; None without a figure: no limit."""
        limit = self.core.synaptic_kib or self.core.memory_kib
        return None if limit is None else int(limit.value) * KIB * 8

    @property
    def axons_in(self) -> int | None:
        """Axons into a core; None without a figure: no limit."""
        return None if self.core.axons_in is None else int(self.core.axons_in.value)

    @property
    def weight_bits(self) -> int:
        """Bits of the widest weight, sign included."""
        return int(self.bits.weight.value)

    @property
    def state_bits(self) -> int:
        """Bits of a neuron's variable, sign included."""
        return int(self.bits.state.value)

    @property
    def payload_bits(self) -> int:
        """Bits that a spike carries; 0: it only is or is not there."""
        return int(self.bits.payload.value)

    def constants(self) -> tuple[SourcedValue, ...]:
        """Every number of the file with its source, in the order of the classes above."""
        found = []
        for section in (self.chip, self.core, self.bits, self.time, self.energy):
            for name, quantity in _quantities(type(section)).items():
                limit: Limit | None = getattr(section, name)
                if limit is not None:
                    found.append(
                        SourcedValue(
                            name=quantity.label,
                            value=float(limit.value),
                            unit=limit.unit,
                            source=limit.source,
                            assumed=limit.assumed,
                        )
                    )
        return tuple(found)

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            target = handler(values)
        except ValidationError as error:
            raise HardwareError(_sentence(error)) from None
        for section_name in ("chip", "core", "bits", "time", "energy"):
            section = getattr(target, section_name)
            for name, quantity in _quantities(type(section)).items():
                limit = getattr(section, name)
                if limit is not None:
                    quantity.check(f"{section_name}.{name}", limit)
        return target


def shipped_names() -> tuple[str, ...]:
    """Names of the targets that come with the package."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir()))


def shipped(name: str = DEFAULT) -> Target:
    """A target that comes with the package: "loihi1" or "loihi2"."""
    if name not in shipped_names():
        raise HardwareError(f"a target must be a file or one of {', '.join(shipped_names())}, not {name}")
    return Target.model_validate(tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8")))


def read_target(named: str | os.PathLike[str] | None = None) -> Target:
    """A user's file, or a target that comes with the package by its name; `DEFAULT` if None is given."""
    if named is None:
        return shipped()
    if os.fspath(named) in shipped_names() and not Path(named).exists():
        return shipped(os.fspath(named))
    return Target.from_toml(named)


def _folder() -> Any:
    return importlib.resources.files("spikesim.backends.lava") / "targets"


def _quantities(section: type[BaseModel]) -> dict[str, Quantity]:
    return {
        name: next(item for item in field.metadata if isinstance(item, Quantity))
        for name, field in section.model_fields.items()
    }


_RULES = {
    "value": "a number",
    "unit": "text",
    "source": "text",
    "assumed": "true or false",
    "name": "text of at least one letter",
}


def _sentence(error: ValidationError) -> str:
    """Turn a problem pydantic found into one sentence that names the setting and its rule.

    The first, or an unknown name, since what is missing is often only misspelt.
    """
    problems = error.errors(include_url=False, include_context=False)
    problem = next((found for found in problems if found["type"] == "extra_forbidden"), problems[0])
    # A value of two legal types is reported once for each of them; the name of the type is no key of the file.
    path = [str(key) for key in problem["loc"] if key not in ("int", "float")]
    if not path:
        return f"a target must be a table of settings, not {shown(problem['input'])}"
    name = ".".join(map(named, path))
    if problem["type"] == "extra_forbidden":
        kind = "setting" if len(path) > 1 else "section"
        return f"{name} is not a {kind}; {nearest(path[-1], _known(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{name} must be given"
    rule = _RULES.get(path[-1], "a table of value, unit, source and assumed" if len(path) > 1 else "a table")
    return f"{name} must be {rule}, not {shown(problem['input'])}"


def _known(path: list[str]) -> list[str]:
    """The settings that a table of the file may have."""
    if not path:
        return list(Target.model_fields)
    if len(path) == 1:
        section = Target.model_fields[path[0]].annotation
        return list(section.model_fields) if section is not None else []
    return list(Limit.model_fields)
