"""Puts the admission rules of reloaded settings in force, everywhere at once.

Invariant: a session or stream ends with the token that opened it, and with that token's
permissions. It does not end later, at its owner's next request, which may never come.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakSet

import attrs
import msgspec

from router.access.admission import Admission, AdmissionRules
from router.access.proxies import TrustedProxies
from router.access.refusals import Refusals
from router.access.wrong_tokens import WrongTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from router.config.settings import Settings
    from router.config.values import Mode
    from router.messages.commands import Principal


class RevocableEndpoint(Protocol):
    """An endpoint whose clients may have sessions or streams open."""

    def end_revoked(self, is_known: Callable[[Principal], bool], /) -> None:
        """End everything that belongs to principals who are not known any more."""
        ...


E = TypeVar("E", bound=RevocableEndpoint)


class LiveAdmission:
    """The admission of all listeners; `apply` puts the rules of other settings in force.

    Args:
        settings: in force at the start.
        handed_over: the hosts of listeners whose sockets the service manager opened, so that the
            settings do not decide about them.

    Attributes:
        server: for the MCP listeners.
        api: for the REST API.
        refusals: reports the requests that either refuses.
        proxies: tell the listeners where requests come from.
    """

    def __init__(
        self, settings: Settings, handed_over: Mapping[Mode, str] = MappingProxyType({})
    ) -> None:
        self._api_host = handed_over.get("api")
        self._server_hosts = tuple(handed_over[mode] for mode in handed_over if mode != "api")
        self.refusals = Refusals()
        wrong_tokens = WrongTokens()  # Whoever guesses may try all listeners.
        self.server = Admission(self._server_rules(settings), self.refusals, wrong_tokens)
        self.api = Admission(self._api_rules(settings), self.refusals, wrong_tokens)
        self.proxies = TrustedProxies(settings.server.trusted_proxies)
        # Weak: an endpoint belongs to its listener, and is forgotten once that has ended.
        self._endpoints: WeakSet[RevocableEndpoint] = WeakSet()

    def register(self, endpoint: E) -> E:
        """Register an endpoint so that revoked principals are cut off at once; returns it."""
        self._endpoints.add(endpoint)
        return endpoint

    def prepare(self, new: Settings) -> None:
        """Do nothing: new rules cannot fail."""

    def apply(self, new: Settings) -> None:
        """Go by these settings from now on, and end what belongs to revoked tokens."""
        before = self.server.rules.tokens
        self.server.rules = self._server_rules(new)
        self.api.rules = self._api_rules(new)
        self.proxies = TrustedProxies(new.server.trusted_proxies)
        now = self.server.rules.tokens
        if now == before:
            return
        # A token that was exchanged for another token of the same name is revoked, too, so a
        # principal stays only together with its token.
        stayed = frozenset(pair[1] for pair in now if pair in before)
        for endpoint in list(self._endpoints):
            endpoint.end_revoked(stayed.__contains__)

    def forget_heads(self) -> None:
        """Have listeners conclude anew from the heads that they know, as if the rules were new."""
        self.server.rules = msgspec.structs.replace(self.server.rules)

    def locate(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        """See `TrustedProxies.locate`."""
        return self.proxies.locate(peer, headers)

    def needs_token(self) -> bool:
        """Return whether any request needs a token."""
        return bool(self.api.rules.tokens)

    def _server_rules(self, settings: Settings) -> AdmissionRules:
        hosts = self._server_hosts
        return AdmissionRules.from_settings(settings.server, settings.security, also_bound=hosts)

    def _api_rules(self, settings: Settings) -> AdmissionRules:
        """Return the rules of the API: the origin that may read its answers may call it, too."""
        server, cors_origin = settings.server, settings.api.cors_origin
        if "://" in cors_origin:
            server = attrs.evolve(server, allowed_origins=(*server.allowed_origins, cors_origin))
        host = settings.api.host if self._api_host is None else self._api_host
        return AdmissionRules.from_settings(server, settings.security, host)
