"""Refusals that several listeners share."""

from __future__ import annotations

from typing import Final

from router.messages.errors import HttpRefusal

RETRY_AFTER: Final = (("Retry-After", "5"),)
"""Sent with 503: long enough for streams to end and sessions to expire, short for a person."""

TOKEN_REVOKED: Final = "This token is not valid any more, or may do something else now"


def token_revoked() -> HttpRefusal:
    """Refuse a client that was admitted and would not be admitted in the same way now."""
    return HttpRefusal(401, TOKEN_REVOKED, (("WWW-Authenticate", "Bearer"),))


def is_never_draining() -> bool:
    """Return False: for listeners whose router does not tell that it is about to stop."""
    return False


def router_stopping() -> HttpRefusal:
    """Refuse a request because its listener is being stopped."""
    return HttpRefusal(503, "The router is stopping", RETRY_AFTER)


def router_overloaded() -> HttpRefusal:
    """Refuse a request because the router did not take it in time."""
    return HttpRefusal(503, "The router is overloaded; try again later", RETRY_AFTER)
