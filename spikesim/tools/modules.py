"""The modules of emitted Verilog: one begins and ends at the start of a line, its instances two spaces further in."""

from __future__ import annotations

import re
from collections.abc import Iterable


def modules(text: str) -> dict[str, str]:
    """The text of every module under its name, in the order of the text."""
    return {found[1]: found[0] for found in re.finditer(r"(?ms)^module (\S+)\s.*?^endmodule\n*", text)}


def instances(names: Iterable[str]) -> re.Pattern[str]:
    """Matches the instances of these modules in the text of another, each up to the module's name, which is group 1."""
    return re.compile(rf"(?m)^  ({'|'.join(map(re.escape, names))}) (?=#\(|\S+ \()")
