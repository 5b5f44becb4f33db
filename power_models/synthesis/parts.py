"""A design's Verilog cut into parts that are mapped to gates one by one: `split`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from spikesim.errors import ToolError
from spikesim.tools.modules import instances, modules


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module that is mapped by itself: `text` has it and all it contains; modules of other parts are black boxes."""

    module: str
    text: str


def split(text: str, top: str, keep: Collection[str], boxes: Collection[str]) -> list[Part]:
    """The parts of an emitted design: `top`, and every module of `keep` that is in it.

    `boxes`: modules that stay black boxes everywhere (memories). Raises ToolError: `top` is not in the text.
    """
    inside = children(text)
    if top not in inside:
        raise ToolError(f"the design must have a module {top}")
    bodies = modules(text)
    roots = [top, *(name for name in bodies if name in keep and name != top and name not in boxes)]
    parts = []
    for root in roots:
        contents, stubs, waiting = [root], set[str](), [root]
        while waiting:
            for child in sorted(inside[waiting.pop()]):
                if child in roots or child in boxes:
                    stubs.add(child)
                elif child not in contents:
                    contents.append(child)
                    waiting.append(child)
        texts = [bodies[name] for name in contents] + [stub(bodies[name]) for name in sorted(stubs)]
        parts.append(Part(module=root, text="\n".join(texts)))
    return parts


def stub(module: str) -> str:
    """A module's ports alone, as a black box; a memory stays even if nothing reads it: what it holds is a result."""
    if "#(" in module.partition(");")[0]:  # memories have parameters, and declare their ports in their head
        return f"(* blackbox, keep *)\n{module[: module.index(chr(10) + ');') + 4]}endmodule\n"
    head = module[: module.index(");") + 2]
    ports = re.findall(r"(?m)^  (?:input|output) [^;]*;", module)
    plain = (re.sub(r" reg\b| =[^;]*", "", port) for port in ports)
    return "(* blackbox *)\n" + "\n".join([head, *plain, "endmodule"]) + "\n"


def children(text: str) -> dict[str, list[str]]:
    """For every module of the text, those of the others that it has instances of."""
    bodies = modules(text)
    found = instances(bodies)
    return {name: list(dict.fromkeys(found.findall(body))) for name, body in bodies.items()}
