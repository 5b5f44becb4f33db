"""Names in a sentence: a setting that is unknown, and the one that was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from itertools import islice

from spikesim.support.shown import shown

_LISTED = 12
_PLAIN = re.compile(r"[\w.-]{1,60}", re.ASCII)


def named(key: object) -> str:
    """A key of a file as it stands there; one that is no plain name as `shown` has it."""
    return key if isinstance(key, str) and _PLAIN.fullmatch(key) else shown(key)


def nearest(key: object, known: Collection[str], others: Collection[str] = ()) -> str:
    """What a sentence about an unknown key ends with: the known one that is most like it, or some of them.

    `others`: known ones that are meant more rarely. A table before the last dot counts for little, since a setting is
    often put into the wrong one.

    >>> nearest("hiden_size", ["hidden_size", "attn.window_size"]), nearest("window", ["size", "attn.window"])
    ('did you mean hidden_size?', 'did you mean attn.window?')
    """
    name = str(key)[:60]  # the comparison is quadratic
    for names in (known, others):
        last = {full.rpartition(".")[2]: full for full in names}
        for text, candidates in ((name, names), (name.rpartition(".")[2], last)):
            if close := difflib.get_close_matches(text, candidates, n=1):
                return f"did you mean {last.get(close[0], close[0])}?"
    more = len(known) - _LISTED
    return f"known: {', '.join(islice(known, _LISTED))}" + (f" and {more} more" if more > 0 else "")
