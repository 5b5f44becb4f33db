"""Documentation that is made from the code is as the code is."""

from __future__ import annotations

import re

from helpers.places import CHECKOUT

from spikesim.rtl.port_table import TABLES, filled

DOCS = CHECKOUT / "docs"


def test_tables_of_the_rtl_are_current() -> None:
    """Ports, registers, parameters and fields: run `python -m spikesim.rtl.port_table docs/rtl.md` if this fails."""
    text = (DOCS / "rtl.md").read_text(encoding="utf-8")
    assert filled(text) == text
    assert set(re.findall("<!-- table: (.*?) -->", text)) == set(TABLES)


def test_links_lead_somewhere() -> None:
    """Relative links between the documents and from the README."""
    root = DOCS.parent
    for document in [root / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
