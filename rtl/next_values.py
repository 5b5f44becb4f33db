"""Registers in emitted Verilog, each with its next value in one block.

Yosys writes a register as two blocks, one that works out the next value and one that takes it over at the clock. As one
they are what a person would write, and a simulator with events runs the block once a cycle, not whenever an operand
changes.
"""

from __future__ import annotations

import re
from collections import Counter

_COMBINATIONAL = re.compile(r"(?m)^  always_comb begin\n((?:    .*\n)+?)  end\n")
_REGISTER = re.compile(r"(?m)^  always_ff @\(posedge clk\)\n    (\S+ ?) <= (_\d+_);\n")
_DECLARATION = re.compile(r"(?m)^  reg (?:\[\d+:\d+\] )?(_\d+_);\n")
_ASSIGNED = re.compile(r"(_\d+_)(?:\[[\d:]+\])? = ")
_NAME = re.compile(r"\b_\d+_\b")


def with_next_values(module: str) -> str:
    """The text of a module whose registers take their next values over where these are worked out.

    A register that holds is not assigned. A next value that anything else reads stays where it is.
    """
    uses = Counter(_NAME.findall(module))
    blocks = {}
    for block in _COMBINATIONAL.finditer(module):
        names = set(_ASSIGNED.findall(block[1]))
        if len(names) == 1:
            name = names.pop()
            read_elsewhere = uses[name] - len(re.findall(rf"\b{name}\b", block[1]))
            if read_elsewhere == 2:  # its declaration, and the register
                blocks[name] = block[1]
    moved = {name for _, name in _REGISTER.findall(module) if name in blocks}

    def taken(at: re.Match[str]) -> str:
        if at[2] not in moved:
            return at[0]
        body = re.sub(rf"\b{at[2]}(\[[\d:]+\])? = ", lambda to: f"{at[1]}{to[1] or ''} <= ", blocks[at[2]])
        return f"  always_ff @(posedge clk) begin\n{_without_holding(body, at[1])}  end\n"

    def left(block: re.Match[str]) -> str:
        return "" if moved.intersection(_ASSIGNED.findall(block[1])) else block[0]

    module = _REGISTER.sub(taken, _COMBINATIONAL.sub(left, module))
    return _DECLARATION.sub(lambda at: "" if at[1] in moved else at[0], module)


def _without_holding(body: str, register: str) -> str:
    """A block's text without an `else` in which the register takes itself over."""
    hold = re.escape(f"{register} <= {register};").replace(r"\ ;", " ?;")
    return re.sub(rf"(?m)^( +)end else begin\n +{hold}\n\1end\n", r"\1end\n", body)
