"""Cores that the tests build, and keep under `build/cores` from run to run while nothing changed."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from helpers.places import CHECKOUT

from spikesim.cores import CoreName
from spikesim.hardware import HardwareConfig
from spikesim.rtl.config import CoreConfig, core_config, datapath
from spikesim.verify.lockstep import BuiltCore

BUILDS = CHECKOUT / "build" / "cores"


@dataclass(frozen=True, kw_only=True)
class Core:
    """A configuration under test; `programs` random programs run on it, from `first_seed` on."""

    settings: dict[str, Any] = field(default_factory=dict)
    core: CoreName = "spiking"
    first_seed: int = 0
    programs: int = 13

    @property
    def hardware(self) -> HardwareConfig:
        """Small memories compile and start faster. Their depths are no powers of two: words beyond read ones."""
        return HardwareConfig().replace(
            **{
                "limits.max_context": 64,
                "memory.row_kib": 500,
                "memory.program_words": 16016,
                **self.settings,
            }
        )

    def config(self) -> CoreConfig:
        """A core that any random program fits into."""
        ways = self.hardware.array.ways
        return core_config(
            self.hardware,
            **datapath(self.core),
            encoder_rows=max(1, 128 // ways),
            scatter_rows=max(1, 32 // ways),
            blocks=4,
        )


POINTWISE = "pointwise.words"


def _array(ways: int, lanes: int, order: str, coding: str, **more: Any) -> dict[str, Any]:
    names = {"ways": ways, "lanes": lanes, "order": order}
    return {**{f"array.{name}": value for name, value in names.items()}, "numerics.coding": coding, **more}


def _widths(load: int, drain: int) -> dict[str, int]:
    return {"array.load_width": load, "array.drain_width": drain}


CORES = {
    "plane": Core(
        settings=_array(16, 8, "plane", "bitwise", **{POINTWISE: 4}, **_widths(4, 2)), first_seed=0
    ),
    "dense": Core(settings=_array(16, 8, "plane", "bitwise", **{POINTWISE: 2}), core="dense", first_seed=13),
    "row": Core(
        settings=_array(
            4,
            4,
            "row",
            "signed_digit",
            **{"array.scan_bits": 8, "array.state_banks": 4, POINTWISE: 1},
            **_widths(1, 1),
        ),
        first_seed=26,
    ),
    "naf": Core(
        settings=_array(
            2,
            4,
            "plane",
            "signed_digit",
            **{"array.scan_bits": 2, "array.skew": 0, "array.state_banks": 1, POINTWISE: 16},
        ),
        first_seed=39,
    ),
    "single": Core(
        settings=_array(1, 1, "plane", "twos_complement", **{"array.accumulator_bits": 28, POINTWISE: 1}),
        first_seed=52,
    ),
    "ternary": Core(
        settings=_array(4, 2, "plane", "ternary", **{"array.scan_bits": 4, POINTWISE: 2}, **_widths(2, 1)),
        first_seed=65,
    ),
    "ternary_row": Core(
        settings=_array(
            8,
            4,
            "row",
            "ternary",
            **{POINTWISE: 8, "array.state_banks": 1},
            **_widths(64, 64),
        ),
        first_seed=78,
    ),
    "dense_wide": Core(
        settings=_array(
            2,
            16,
            "row",
            "bitwise",
            **{"array.accumulator_bits": 40, "array.state_banks": 1, POINTWISE: 4},
            **_widths(2, 16),
        ),
        core="dense",
        first_seed=91,
    ),
    "window": Core(settings=_array(8, 4, "window", "signed_digit", **{POINTWISE: 2}), first_seed=104),
    "window_bitwise": Core(
        settings=_array(4, 4, "window", "bitwise", **{"array.row_planes": 5, POINTWISE: 4}), first_seed=117
    ),
    "skipping": Core(
        settings=_array(16, 8, "plane", "bitwise", **{POINTWISE: 2}), core="skipping", first_seed=130
    ),
    "skipping_small": Core(
        settings=_array(2, 2, "plane", "signed_digit", **{POINTWISE: 1}), core="skipping", first_seed=143
    ),
}
"""Codings, orders, one bank and many, narrow and wide; words, counts and sums one by one and as many as there can be;
state banks updated one by one, two at a time and all at once.

With 13 random programs each, 156 in all.
"""


MORE = {"naf", "single", "ternary", "dense_wide", "window_bitwise", "skipping_small"}
"""Cores that `make more` builds, and `make test` does not."""


@cache
def built_core(name: str, config: CoreConfig) -> BuiltCore:
    """The core, compiled; two test processes do not compile the same one, and one emits it once."""
    BUILDS.mkdir(parents=True, exist_ok=True)
    core = BuiltCore(config, BUILDS / name)
    with (BUILDS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        core.binary()
    return core
