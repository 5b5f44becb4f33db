"""What a command prints when its report is ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikesim.cli.console import stdout
from spikesim.report import HTML_NAME
from spikesim.report.summary import facts, is_random, verdict

if TYPE_CHECKING:
    from rich.table import Table

    from spikesim.results import Report


def announce(report: Report, folder: Path | None) -> None:
    """Print the summary, what to know before believing it, and where the report is."""
    from rich.text import Text

    console = stdout()
    console.print(summary_table(report))
    console.print(Text(verdict(report)))
    notes = [report.input.note] if report.input.note else []
    if is_random(report) and not notes:
        notes = ["Fidelity and sparsity come from random tokens."]
    for note in dict.fromkeys((*notes, *report.warnings)):
        console.print(Text(note, style="yellow"))
    if folder is not None:
        console.print(Text(f"report: {folder / HTML_NAME}"), soft_wrap=True)


def summary_table(report: Report) -> Table:
    """Return the headline facts as a table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    name, tokens = report.model.name, report.input.n_tokens
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{name}, {tokens:,} tokens ({report.input.kind})"),
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
