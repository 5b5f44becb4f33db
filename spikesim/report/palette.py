"""The colours of the report, for light and dark surroundings, and what each stands for.

Figures are drawn in the light colours; `themed` then replaces them by style sheet variables, so that one figure
follows the reader's theme. The five hues are those of Okabe and Ito, told apart with every common colour blindness,
and differ in lightness as well, for print in grey. Red stands for a failure only, and never alone: words say it too.
"""

from __future__ import annotations

import re

LIGHT = {
    "ink": "#1c2128",
    "muted": "#5d6773",
    "line": "#dce1e7",
    "page": "#f5f6f8",
    "card": "#ffffff",
    "orange": "#d55e00",
    "slate": "#8496a9",
    "blue": "#0072b2",
    "green": "#009e73",
    "purple": "#b8679a",
    "amber": "#e69f00",
    "red": "#b3261e",
}

DARK = {
    "ink": "#e7ebf0",
    "muted": "#98a4b3",
    "line": "#313a45",
    "page": "#0f1318",
    "card": "#181e25",
    "orange": "#f0843c",
    "slate": "#7b8da1",
    "blue": "#4aa8e0",
    "green": "#2bbd93",
    "purple": "#d990bd",
    "amber": "#f2b735",
    "red": "#ff8a80",
}

SPIKING, DENSE = "orange", "slate"
POSITIVE, NEGATIVE = "orange", "blue"
KINDS = {
    "moba": "blue",
    "sse": "green",
    "full": "purple",
    "conv": "blue",
    "depthwise": "blue",
    "linear": "green",
    "attention": "purple",
}
"""Colour of each kind of layer; anything else, such as the head, is amber."""

NO_LAYERS = ("position", "head")
"""What a program of a model may be that is no layer."""

KIND_NAMES = {"moba": "MoBA", "sse": "SSE + SWA", "full": "full attention"}
"""What a kind of layer is called in text and legends; anything else by its own name."""

_NAMES = {value: name for name, value in LIGHT.items()}
_COLOUR = re.compile("|".join(LIGHT.values()))


def kind_colour(kind: str) -> str:
    """Return the name of the colour that stands for a kind of layer."""
    *_, last = kind.split() or ("",)  # "spiking conv", "softmax attention"
    return KINDS.get(last, "amber")


def kind_name(kind: str) -> str:
    """Return what a kind of layer is called."""
    return KIND_NAMES.get(kind, kind)


def is_layer(kind: str) -> bool:
    """Tell a layer of the model from the other programs a core runs (head, position)."""
    return kind not in NO_LAYERS


def layer_label(layer: int, kind: str) -> str:
    """Return what an axis calls a program: the layer's number, or what else it is.

    >>> layer_label(3, "sse"), layer_label(6, "head")
    ('3', 'head')
    """
    return str(layer) if is_layer(kind) else kind


def themed(svg: str) -> str:
    """Replace the light colours in a drawing by style sheet variables."""
    return _COLOUR.sub(lambda match: f"var(--{_NAMES[match[0]]})", svg)
