"""The `timing` groups of a Liberty file: of which kind they are, and to which pins they relate."""

from __future__ import annotations

import re

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.text import Group
from spikesim.support.shown import shown

DELAYS = ("combinational", "combinational_rise", "combinational_fall", "rising_edge")
"""Kinds of timing that are delays of an output; setup_rising is the setup time of an input."""
_OTHER_KINDS = re.compile(
    "falling_edge|preset|clear|(hold|recovery|removal|skew|non_seq_setup|non_seq_hold)_(rising|falling)|setup_falling|"
    "min_pulse_width|minimum_period|(max|min)_clock_tree_path|nochange_(high|low)_(high|low)|"
    "three_state_(enable|disable)(_rise|_fall)?"
)


def kind_of(timing: Group) -> str:
    """Its timing_type. Raises LibertyError: Liberty has none of the name; a misspelt one would be a time left out."""
    kind = timing.text("timing_type", "combinational")
    if kind != "setup_rising" and kind not in DELAYS and not _OTHER_KINDS.fullmatch(kind):
        raise LibertyError(
            f"timing_type must be one that Liberty has, not {shown(kind)} (line {timing.line})"
        )
    return kind


def related_pins(timing: Group) -> list[str]:
    """The pins of a group's related_pin. Raises LibertyError: it has none."""
    related = [name for name in re.split(r"[\s,]+", timing.text("related_pin")) if name]
    if not related:
        raise LibertyError(f"timing must name its related_pin, not do without (line {timing.line})")
    return related
