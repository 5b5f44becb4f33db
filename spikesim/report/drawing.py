"""From a matplotlib figure to a small inline SVG that follows the page's font and colours."""

from __future__ import annotations

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from spikesim.report.palette import LIGHT, themed

INK, MUTED, LINE = LIGHT["ink"], LIGHT["muted"], LIGHT["line"]

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib; the page's own font replaces it and is narrower
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.1,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names of instructions and layers are not formulas
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}

_NOT_THE_DRAWING = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|\sxmlns(?::\w+)?=\"[^\"]*\"", re.DOTALL
)
_ID = re.compile(r'(\sid="|href="#|url\(#)')
_TAG = re.compile(r"<[^>]+>")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_SIZE = re.compile(r'(<svg[^>]*?)\swidth="[^"]*"|(<svg[^>]*?)\sheight="[^"]*"')


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw with our settings and none of the user's within the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, not registered with pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def horizontal_grid(axes: Axes) -> None:
    """Rule vertical lines only, for bars that run sideways."""
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an `<svg>` element for an HTML page.

    `name` keeps the ids of several figures on a page apart; `label` is what a screen reader says. Equal figures give
    equal text.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = _NOT_THE_DRAWING.sub("", buffer.getvalue())
    # Two decimals of a point place a line well enough; the texts between the tags keep all of theirs.
    text = _TAG.sub(lambda tag: _LONG_NUMBER.sub(_shorter, tag[0]), text)
    # The page decides how large the drawing is shown; the view box keeps its shape.
    for _ in range(2):
        text = _SIZE.sub(lambda match: match[1] or match[2], text, count=1)
    text = _ID.sub(rf"\g<1>{name}-", themed(text))
    spoken = html.escape(label, quote=True)
    return text.strip().replace("<svg", f'<svg role="img" aria-label="{spoken}"', 1)


def _shorter(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
