"""Bars of benchmarks: a figure is printed with its bar, and one that misses it ends the benchmark with status 1."""

from __future__ import annotations


class Bars:
    """`judged` is False for runs too small to say anything: their figures are printed without bars."""

    def __init__(self, *, judged: bool) -> None:
        self.judged = judged
        self.missed: list[str] = []

    def at_least(self, name: str, figure: float, bar: float, form: str = ",.2f") -> None:
        """Prints a figure that is the better the larger; `form` is how numbers are written."""
        self._print(name, figure, f"at least {bar:{form}}", figure >= bar, form)

    def at_most(self, name: str, figure: float, bar: float, form: str = ",.2f") -> None:
        """Prints a figure that is the better the smaller."""
        self._print(name, figure, f"at most {bar:{form}}", figure <= bar, form)

    def close(self) -> None:
        """Raises SystemExit if a bar was missed, naming each with its figure."""
        if self.missed:
            raise SystemExit("missed: " + "; ".join(self.missed))

    def _print(self, name: str, figure: float, bar: str, met: bool, form: str) -> None:
        line = f"{name:44} {figure:9{form}}"
        if not self.judged:
            print(line)
            return
        print(f"{line}  bar: {bar}{'' if met else ', MISSED'}")
        if not met:
            self.missed.append(f"{name}: {figure:{form}}, must be {bar}")
