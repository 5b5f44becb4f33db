"""The words of a template for what an item of the model is."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from spikesim.report.items import reword
from spikesim.results.report import Item


class ItemWords(Extension):
    """Rewords what a template itself says, but nothing that is put into it: for `environment.item`."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Texts between tags, and strings in them."""
        item: Item = self.environment.item  # type: ignore[attr-defined]
        for token in stream:
            if token.type in ("data", "string"):
                token = Token(token.lineno, token.type, reword(token.value, item))
            yield token
