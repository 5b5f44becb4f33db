"""Static timing of the compared designs in words: which clock they meet, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikesim.report.numbers import megahertz, nanoseconds, plural

if TYPE_CHECKING:
    from spikesim.results.comparison import Comparison, Design, Timing


@dataclass(frozen=True, kw_only=True)
class TimingRow:
    """A design's worst path. `missed`, `memory_missed`: in words, if the clock is too fast; else empty."""

    label: str
    period: str
    path: str
    slack: str
    missed: str
    start: str
    end: str
    memory_access: str
    memory_slack: str
    memory_missed: str


def timing_rows(comparison: Comparison) -> tuple[TimingRow, ...]:
    """Every design's worst path."""
    rows = []
    for design in comparison.designs:
        timing = design.timing
        missed = timing.memory_slack_ns is not None and timing.memory_slack_ns < 0
        rows.append(
            TimingRow(
                label=design.label,
                period=nanoseconds(timing.period_ns),
                path=nanoseconds(timing.worst_path_ns),
                slack=nanoseconds(timing.worst_slack_ns),
                missed=_missed(timing) if timing.worst_slack_ns < 0 else "",
                start=timing.start,
                end=timing.end,
                memory_access=nanoseconds(timing.memory_access_ns),
                memory_slack=nanoseconds(timing.memory_slack_ns),
                memory_missed="the memories are too slow for this clock" if missed else "",
            )
        )
    return tuple(rows)


def worst_slack(comparison: Comparison) -> tuple[float, Design, bool] | None:
    """The smallest slack, ns, of any design, the design, and whether it is that of its memories; None without one."""
    if not comparison.designs:
        return None
    worst = min(comparison.designs, key=lambda design: _slowest(design.timing))
    slack = _slowest(worst.timing)
    return slack, worst, slack < worst.timing.worst_slack_ns


def slack_warning(comparison: Comparison) -> str:
    """One sentence if any design misses the clock, else nothing."""
    worst = worst_slack(comparison)
    if worst is None or worst[0] >= 0:
        return ""
    slack, design, memory = worst
    others = len({row.name for row in comparison.designs if _slowest(row.timing) < 0}) - 1
    also = (
        f" {plural(others, 'other design')} {'misses' if others == 1 else 'miss'} it too." if others else ""
    )
    where = "the memories" if memory else f"the path from {design.timing.start} to {design.timing.end}"
    return (
        f"The clock of {megahertz(comparison.clock_mhz)} is not met: worst slack {_short(slack)} on {where}"
        f" ({design.label}); power and energy are figures for a clock that this design cannot run at.{also}"
    )


def slack_line(comparison: Comparison) -> str:
    """The worst slack in one line, whatever it is; nothing without a design."""
    worst = worst_slack(comparison)
    if worst is None:
        return ""
    slack, design, memory = worst
    where = f"{design.label}, memories" if memory else design.label
    return f"worst slack {_short(slack)} at {megahertz(comparison.clock_mhz)} ({where})"


def _slowest(timing: Timing) -> float:
    """The smaller one of the slacks of logic and memories, ns."""
    memory = timing.memory_slack_ns
    return timing.worst_slack_ns if memory is None else min(timing.worst_slack_ns, memory)


def _short(slack: float) -> str:
    """A slack with its sign, two decimals unless it is smaller than that."""
    digits = 2 if abs(slack) >= 0.01 else 3
    return f"{slack:+,.{digits}f} ns".replace("-", "−")


def _missed(timing: Timing) -> str:
    longest = timing.period_ns - timing.worst_slack_ns
    return f"clock not met; this path allows {megahertz(1000 / longest)}"
