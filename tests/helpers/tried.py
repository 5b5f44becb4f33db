"""`tried`: marks a test as a row of `docs/robustness.md`, which is made of these marks.

`tests/campaigns/robustness.py` writes the page; `tests/project/test_robustness.py` asks whether it is up to date.
"""

import pytest

KINDS = {
    1: "Numbers that saturate",
    2: "Settings nobody knows",
    3: "The state of a tokenizer",
    4: "What defines an input travels with the mapping",
    5: "The structure of an input",
    6: "Cell libraries",
    7: "Figures and their denominators",
    8: "Exact functions",
    9: "Files of the user",
    10: "Names as commands",
    11: "Full disks and stopped processes",
    12: "Files that unfold into more than they are",
    13: "Readers of foreign files",
    14: "Environments",
    15: "The Python API",
}
"""The kinds of trouble, in the order of the page."""


def tried(kind: int, what: str, happens: str) -> pytest.MarkDecorator:
    """A row of the page: `what` is tried (a noun phrase), and what `happens` (a short clause in the present).

    On a test that is one case; on `pytest.param(…, marks=tried(…))`, one for each parameter.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind} of trouble")
    return pytest.mark.tried(kind=kind, what=what, happens=happens)
