"""Fragments of the changelog, and the page they become."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.places import CHECKOUT

SETTINGS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
TYPES = [kind["directory"] for kind in SETTINGS["type"]]
FRAGMENTS = sorted(path for path in (CHECKOUT / "changes").iterdir() if path.name != "template.jinja")


def fault(name: str, text: str) -> str | None:
    """What is wrong with a fragment."""
    if not re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(TYPES)})\.md", name):
        return f"must be named <name>.<type>.md, the type one of {', '.join(TYPES)}"
    return None if text.strip().endswith(".") else "must hold sentences"


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_has_a_known_type_and_says_something(fragment: Path) -> None:
    assert fault(fragment.name, fragment.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize("name", ["fp8", "fp8.change", "FP 8.added", "added"])
def test_other_names_are_refused(name: str) -> None:
    assert fault(f"{name}.md", "A sentence.") is not None


def test_changelog_takes_them() -> None:
    """As `make changelog` shows it: every fragment once, below the heading of its type."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9"]
    page = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert "## [9.9.9] - " in page
    for fragment in FRAGMENTS:
        heading = fragment.suffixes[0].removeprefix(".").capitalize()
        text = " ".join(fragment.read_text(encoding="utf-8").split())
        section = re.split(r"^### ", page, flags=re.MULTILINE)
        assert [part.split()[0] for part in section if text in " ".join(part.split())] == [heading]
    changelog = (CHECKOUT / SETTINGS["filename"]).read_text(encoding="utf-8")
    assert changelog.count(SETTINGS["start_string"]) == 1
