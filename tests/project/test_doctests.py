"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest
from helpers.places import CHECKOUT


def modules_with_examples() -> list[str]:
    names = []
    for folder in ("spikesim", "mapping", "power_models", "rtl"):
        for path in (CHECKOUT / folder).rglob("*.py"):  # does not follow the links below spikesim
            if ">>> " in path.read_text(encoding="utf-8"):
                name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
                names.append("spikesim." + name.removeprefix("spikesim.").removesuffix(".__init__"))
    return sorted(names)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
