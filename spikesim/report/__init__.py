"""The report: `report.json` for programs, `report.html` for people.

    write_report(report, folder)

Importing the package is cheap; matplotlib and jinja2 are loaded when a report is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikesim.results.report import Report

JSON_NAME = "report.json"
HTML_NAME = "report.html"

__all__ = ["HTML_NAME", "JSON_NAME", "write_report"]


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the HTML page.

    The page is one file that loads nothing: figures are inline SVG, styles are in its head, there is no script.

    Raises `OutputError` if the folder cannot be written.
    """
    from spikesim.report.document import to_json
    from spikesim.report.matplotlib_import import import_matplotlib
    from spikesim.support.files import write_text_atomic

    import_matplotlib()
    from spikesim.report.html import render

    page = folder / HTML_NAME
    write_text_atomic(folder / JSON_NAME, to_json(report))
    write_text_atomic(page, render(report))
    return page
