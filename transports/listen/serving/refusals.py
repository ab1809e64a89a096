"""Refusals of requests that a listener makes for reasons of its own."""

from __future__ import annotations

from typing import Final

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import RETRY_AFTER

GONE: Final = "This token is not valid any more, or may do something else now"


def unwelcome() -> HttpRefusal:
    """The answer to whoever was let in and is not any more."""
    return HttpRefusal(401, GONE, (("WWW-Authenticate", "Bearer"),))


def stopping() -> HttpRefusal:
    """The answer of an endpoint that is being stopped."""
    return HttpRefusal(503, "The router is stopping", RETRY_AFTER)
