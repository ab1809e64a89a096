"""The gates of all listeners, and what ends when their rules change.

Job: put the rules of other settings in force, everywhere at once. Neighbours: `listeners` hands
the gates out and has its endpoints watched, `composing` updates; `auth` has the rules.

Invariant: what somebody has opened with a token ends with that token, and with what it permits:
it is not ended later, at their next request, which may never come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakSet

import attrs

from router.access.admission import Admission, Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.settings import Settings
    from router.messages.commands import Principal


class Endpoint(Protocol):
    """Where somebody may have something open."""

    def end_revoked(self, knows: Callable[[Principal], bool], /) -> None:
        """End what belongs to those who are not known any more."""
        ...


E = TypeVar("E", bound=Endpoint)


class LiveAdmission:
    """Who may come in where; `update` puts the rules of other settings in force.

    Attributes:
        server: of the MCP listeners.
        api: of the REST API.
    """

    def __init__(self, settings: Settings) -> None:
        self.server = Gate(_server_rules(settings))
        self.api = Gate(_api_rules(settings))
        # Whoever runs an endpoint holds it; of those that are over nothing is left here.
        self._endpoints: WeakSet[Endpoint] = WeakSet()

    def register(self, endpoint: E) -> E:
        """The endpoint, which is told from now on who is not known any more."""
        self._endpoints.add(endpoint)
        return endpoint

    def update(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        before = self.server.rules.tokens
        self.server.rules = _server_rules(settings)
        self.api.rules = _api_rules(settings)
        now = self.server.rules.tokens
        if now != before:
            # A token that was exchanged for another one of the same name is gone, too.
            stayed = frozenset(one[1] for one in now if one in before)
            for endpoint in list(self._endpoints):
                endpoint.end_revoked(stayed.__contains__)

    def needs_token(self) -> bool:
        """Does anybody need a token?"""
        return bool(self.api.rules.tokens)


def _server_rules(settings: Settings) -> Admission:
    return Admission.from_settings(settings.server, settings.security)


def _api_rules(settings: Settings) -> Admission:
    """Pages of the origin that may read the API's answers may ask, too."""
    server, cors_origin = settings.server, settings.api.cors_origin
    if "://" in cors_origin:
        server = attrs.evolve(server, allowed_origins=(*server.allowed_origins, cors_origin))
    return Admission.from_settings(server, settings.security, settings.api.host)
