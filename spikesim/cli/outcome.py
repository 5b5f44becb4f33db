"""What a command prints when its report is ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikesim.cli.console import stdout
from spikesim.report import HTML_NAME, energy
from spikesim.report.comparison import basis_lines
from spikesim.report.items import reword
from spikesim.report.numbers import megahertz
from spikesim.report.slack import slack_line, slack_warning
from spikesim.report.summary import convention, cycles_verdict, facts, input_words, is_random, verdict

if TYPE_CHECKING:
    from rich.table import Table

    from spikesim.results.comparison import Comparison
    from spikesim.results.report import Item, Report


def announce(report: Report, folder: Path | None) -> None:
    """Print the summary, what to know before believing it, and where the report is."""
    from rich.text import Text

    console = stdout()
    console.print(summary_table(report))
    if report.comparison is None:
        console.print(Text(verdict(report)))
    else:
        console.print(Text(cycles_verdict(report)))
        console.print(bases_table(report.comparison, report.model.item))
        missed = slack_warning(report.comparison)
        console.print(Text(missed or slack_line(report.comparison), style="red" if missed else ""))
    if report.activity is not None:
        console.print(Text(convention(report.activity)))
    if report.energy is not None:
        console.print(Text(reword(energy.line(report.energy), report.model.item)))
    if report.input.special_tokens:
        console.print(Text(f"special tokens: {report.input.special_tokens}"), soft_wrap=True)
    notes = [report.input.note] if report.input.note else []
    if is_random(report) and not notes:
        notes = [f"Fidelity and sparsity come from {report.input.kind}."]
    for note in dict.fromkeys((*notes, *report.warnings)):
        console.print(Text(note, style="yellow"))
    if folder is not None:
        console.one_line(f"report: {folder / HTML_NAME}")


def summary_table(report: Report) -> Table:
    """Return the headline facts as a table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{report.model.name}, {input_words(report)} ({report.input.kind})"),
        title_justify="left",
    )
    table.add_column("")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    for fact in facts(report):
        table.add_row(
            Text(fact.title), Text(f"{fact.value} {fact.unit}".strip(), style="bold"), Text(fact.detail)
        )
    return table


def bases_table(comparison: Comparison, item: Item) -> Table:
    """Return what spiking takes less (−) or more (+) than dense on each basis."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    clock = f"{megahertz(comparison.clock_mhz)}, {comparison.library.name}"
    table = Table(
        box=box.SIMPLE_HEAD, title=Text(f"Spiking against dense INT8, {clock}"), title_justify="left"
    )
    table.add_column("")
    for name in ("area", "power", f"energy/{item}", "cycles", f"{item}s/s*"):
        table.add_column(name, justify="right", no_wrap=True)
    for basis in comparison.bases:
        for label, *figures in basis_lines(basis):
            table.add_row(Text(reword(label, item)), *(Text(figure, style="bold") for figure in figures))
    table.caption = Text("* at equal area: designs repeated until they have the twin's area")
    table.caption_justify = "left"
    return table
