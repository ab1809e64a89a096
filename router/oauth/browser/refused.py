"""The error that ends a login."""

from __future__ import annotations


class LoginRefused(Exception):
    """A login that does not go on; the browser gets a page with the reason.

    Attributes:
        status: of that page.
        sentence: the reason, for the person. It holds no secret.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
