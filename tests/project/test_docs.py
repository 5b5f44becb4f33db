"""Documentation that is made from the code is as the code is, and what anybody cites exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from helpers.places import CHECKOUT

from spikesim.mapping.dssa.config import DSSAConfig
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
    for document in [root / "README.md", root / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


FOLDERS = ("benchmarks", "docs", "examples", "mapping", "power_models", "rtl", "spikesim", "tests", ".github")
SUFFIXES = {".md", ".py", ".toml", ".yml", ".j2", ".cpp"}
NAMED = re.compile(
    r"(?P<name>[\w./-]*\w\.md)\b(?:#(?P<anchor>[\w-]+))?`?(?P<numbers>(?:(?: | and |, )\d+(?:\.\d+)*\b)*)"
)
"""A document as texts name it, with what they cite of it: `rtl.md#parameters`, "`dssa.md` 4 and 5.2"."""


def texts() -> Iterator[Path]:
    """What people wrote, but for the changelog: history keeps the names of its time."""
    yield from (CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"))
    for folder in FOLDERS:
        yield from (file for file in (CHECKOUT / folder).rglob("*") if file.suffix in SUFFIXES)


@cache
def headings(document: Path) -> tuple[set[str], set[str]]:
    """The numbers that the headings of a document begin with, and their anchors as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = {title.split()[0] for title in titles}
    return numbers, {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def faults(file: Path, text: str) -> Iterator[str]:
    """What a text cites and nobody finds."""
    for cited in NAMED.finditer(text):
        places = [folder / cited["name"] for folder in (CHECKOUT, DOCS, file.parent)]
        document = next((place for place in places if place.is_file()), None)
        if document is None:
            yield cited[0]
            continue
        numbers, anchors = headings(document)
        if cited["anchor"] and cited["anchor"] not in anchors:
            yield cited[0]
        if not numbers.issuperset(re.findall(r"\d[\d.]*\d|\d", cited["numbers"])):
            yield cited[0]


def test_what_is_cited_exists() -> None:
    """Documents, their numbered sections and their anchors, wherever text names them."""
    found = {file: list(faults(file, file.read_text(encoding="utf-8"))) for file in texts() if file.is_file()}
    assert {file.relative_to(CHECKOUT).as_posix(): cited for file, cited in found.items() if cited} == {}


@pytest.mark.parametrize("cited", ["nowhere" + ".md", "rtl" + ".md#nothing", "`dssa" + ".md` 4 and 9.1"])
def test_a_wrong_citation_is_found(cited: str) -> None:
    assert list(faults(DOCS / "any", f"As {cited} says.")) == [cited.removeprefix("`")]


def test_every_field_of_a_configuration_is_described() -> None:
    """With the default it has, in the table of `docs/dssa.md` 1.1."""
    text = (DOCS / "dssa.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)`.*? \| ([^ ,]+).*? \|", text, re.MULTILINE))
    computed = {"intermediate_size", "attn.num_kv_heads"}
    for name, field in DSSAConfig.model_fields.items():
        written = field.alias or name
        if field.description and written not in computed | {"conv_size"}:  # the row of use_short_conv
            assert rows[written] == ("—" if field.is_required() else json.dumps(field.default)), name


PREFIXES = ("", "spikesim/golden/", "spikesim/spikes/", "rtl/", "tests/", "mapping/", "mapping/dssa/")
"""Where the tables of the README look: a column says which, or the cell before."""


def test_the_map_of_units_names_files_that_are_there() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    tables = text[text.index("## Units") : text.index("Where to read on:")]
    rows = [row for row in tables.splitlines() if row.startswith("|")]
    names = re.findall(r"`([^`]+(?:\.py|/))`", "\n".join(rows))
    assert len(names) > 50
    for name in names:
        assert any((CHECKOUT / (prefix + name)).exists() for prefix in PREFIXES), name
