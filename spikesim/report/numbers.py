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
    """A share (0 … 1) in percent; tiny but non-zero shares are not shown as zero, nor almost all as all.

    >>> percent(0.00001), percent(0), percent(0.99999), percent(1)
    ('< 0.01 %', '0 %', '> 99.99 %', '100 %')
    """
    if share is None:
        return MISSING
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"< {smallest:.{digits}f} %"
    if 0 < 100 * (1 - share) < smallest / 2:
        return f"> {100 - smallest:.{digits}f} %"
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


Ladder = tuple[tuple[float, float, str], ...]
"""Units of a quantity, largest first: from which value on one is used, how much it is, its name."""

AREA: Ladder = ((1e5, 1e6, "mm²"), (0, 1, "µm²"))
"""For areas in µm²."""

POWER: Ladder = ((1e3, 1e3, "W"), (1, 1, "mW"), (1e-3, 1e-3, "µW"), (0, 1e-6, "nW"))
"""For powers in mW."""

ENERGY: Ladder = (
    (1e6, 1e6, "J"),
    (1e3, 1e3, "mJ"),
    (1, 1, "µJ"),
    (1e-3, 1e-3, "nJ"),
    (1e-6, 1e-6, "pJ"),
    (0, 1e-9, "fJ"),
)
"""For energies in µJ."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_SAME_UNIT = 1e-4
"""A value this much smaller than the largest one beside it gets a unit of its own."""


def significant(value: float) -> str:
    """Three significant digits, written out.

    >>> significant(1234.5), significant(12.34), significant(0.01234), significant(0)
    ('1,234', '12.3', '0.0123', '0')
    """
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{digits}f}".replace("-", "−")


def quantities(ladder: Ladder, *values: float | None) -> tuple[str, ...]:
    """Values that are to be compared, in one unit, the one that suits the largest of them.

    >>> quantities(AREA, 1_250_000, 98_000), quantities(POWER, 0.434), quantities(ENERGY, 12.5, None, 2e-7)
    (('1.25 mm²', '0.0980 mm²'), ('434 µW',), ('12.5 µJ', '–', '200 fJ'))
    """
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return tuple(
        _in_unit(
            ladder, value, largest if value is not None and abs(value) >= _SAME_UNIT * largest else value
        )
        for value in values
    )


def unit_for(ladder: Ladder, largest: float) -> tuple[float, str]:
    """How much the unit is, and its name, in which axes up to `largest` are labelled.

    >>> unit_for(POWER, 0.5)
    (0.001, 'µW')
    """
    return next((factor, name) for least, factor, name in ladder if abs(largest) >= least)


def _in_unit(ladder: Ladder, value: float | None, largest: float | None) -> str:
    if value is None or largest is None:
        return MISSING
    if value == 0:
        return "0"
    factor, name = unit_for(ladder, largest)
    return f"{significant(value / factor)} {name}"


def change(saved: float | None, digits: int = 1) -> str:
    """What a saving, as a share, makes of a quantity: less is negative, as it is published.

    >>> change(0.706), change(-0.12), change(0.0), change(-15.2)
    ('−70.6 %', '+12.0 %', '0.0 %', '+1,520 %')
    """
    if saved is None:
        return MISSING
    percents = -100 * saved
    shown = f"{abs(percents):,.{0 if abs(percents) >= 1000 else digits}f} %"
    if not float(f"{percents:.{digits}f}"):
        return shown
    return ("−" if percents < 0 else "+") + shown


def nanoseconds(value: float | None) -> str:
    """A time or a slack in ns, to the picosecond.

    >>> nanoseconds(2), nanoseconds(-0.12)
    ('2.000 ns', '−0.120 ns')
    """
    return MISSING if value is None else f"{value:,.3f} ns".replace("-", "−")


def number(value: float) -> str:
    """A number that stands beside its unit, as exact as it came, with a power of ten where it needs one.

    >>> number(0.374), number(1.92e-15), number(500e6), number(128)
    ('0.374', '1.92 × 10⁻¹⁵', '5 × 10⁸', '128')
    """
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.10g}".replace("-", "−")
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"


def megahertz(value: float) -> str:
    """A clock in MHz, without zeros at the end.

    >>> megahertz(500), megahertz(471.7), megahertz(1250)
    ('500 MHz', '471.7 MHz', '1250 MHz')
    """
    return f"{value:.1f}".removesuffix(".0") + " MHz"
