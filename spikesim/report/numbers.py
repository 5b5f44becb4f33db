"""Numbers as people read them. Every function gives "–" for None.

>>> si(12_345_678), percent(0.6431), whole(20480), size(3 * 2**20)
('12.3 M', '64.31 %', '20,480', '3.00 MiB')
"""

from __future__ import annotations

import math

MISSING = "–"

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def si(value: float | None, unit: str = "") -> str:
    """Three significant digits with an SI prefix.

    >>> si(0.00123, "s"), si(999_999), si(0), si(412)
    ('1.23 ms', '1.00 M', '0', '412')
    """
    if value is None:
        return MISSING
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return f"0 {unit}".rstrip()
    factor, prefix = next((pair for pair in _SI if abs(rounded) >= pair[0]), _SI[-1])
    scaled = rounded / factor
    if prefix == "" and float(value).is_integer():
        return f"{value:.0f} {unit}".rstrip()
    digits = max(0, 2 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:.{digits}f} {prefix}{unit}".rstrip()


def tick(value: float) -> str:
    """Like `si`, without zeros at the end: the number at a tick of an axis.

    >>> tick(5000), tick(12_500), tick(0)
    ('5 k', '12.5 k', '0')
    """
    number, _, prefix = si(value).partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {prefix}".rstrip()


def whole(value: float | None) -> str:
    """A whole number with separators."""
    return MISSING if value is None else f"{value:,.0f}"


def fixed(value: float | None, digits: int = 2) -> str:
    """A fixed number of digits after the point."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share (0 … 1) in percent; tiny but non-zero shares are not shown as zero.

    >>> percent(0.00001), percent(0), percent(1)
    ('< 0.01 %', '0 %', '100 %')
    """
    if share is None:
        return MISSING
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"< {smallest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def quality(value: float | None) -> str:
    """Bits per byte or perplexity: four decimals, fewer where the number is large.

    >>> quality(2.04106), quality(764056.64)
    ('2.0411', '764,057')
    """
    return fixed(value, 4) if value is None or value < 100 else whole(value)


def ratio(numerator: float | None, denominator: float | None) -> str:
    """How many times the denominator the numerator is.

    >>> ratio(3, 2), ratio(1, 0)
    ('1.50 ×', '–')
    """
    if numerator is None or not denominator:
        return MISSING
    return f"{numerator / denominator:.2f} ×"


def size(count: float | None) -> str:
    """Bytes with a binary prefix."""
    if count is None:
        return MISSING
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= factor:
            digits = max(0, 2 - math.floor(math.log10(count / factor)))
            return f"{count / factor:.{digits}f} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float | None) -> str:
    """Wall-clock time.

    >>> duration(0.0312), duration(75.2), duration(7265)
    ('31.2 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return MISSING
    if seconds < 60:
        return si(seconds, "s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def plural(count: int, noun: str) -> str:
    """Count and noun.

    >>> plural(1, "layer"), plural(12, "layer")
    ('1 layer', '12 layers')
    """
    return f"{whole(count)} {noun}{'' if count == 1 else 's'}"
