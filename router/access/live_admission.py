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

    from router.access.issued_tokens import IssuedTokens
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
        new_issued: makes what knows the tokens of issuers; it is called once there are any, and may
            block.

    Attributes:
        server: for the MCP listeners.
        api: for the REST API.
        refusals: reports the requests that either refuses.
        proxies: tell the listeners where requests come from.
        keeps_tokens: see `IssuedTokens`; set by whoever asks for `token_of`.
    """

    def __init__(
        self,
        settings: Settings,
        handed_over: Mapping[Mode, str] = MappingProxyType({}),
        new_issued: Callable[[], IssuedTokens] | None = None,
    ) -> None:
        self._api_host = handed_over.get("api")
        self._server_hosts = tuple(handed_over[mode] for mode in handed_over if mode != "api")
        self.refusals = Refusals()
        wrong_tokens = WrongTokens()  # Whoever guesses may try all listeners.
        self.server = Admission(self._server_rules(settings), self.refusals, wrong_tokens)
        self.api = Admission(self._api_rules(settings), self.refusals, wrong_tokens)
        self.proxies = TrustedProxies(settings.server.trusted_proxies)
        for admission in (self.server, self.api):
            admission.prefix_of = lambda headers: self.proxies.prefix_in(headers)
        self.keeps_tokens: Callable[[], bool] = lambda: False
        self._new_issued = new_issued
        self.prepare(settings)
        if self.server.issued is not None:
            self.server.issued.apply(settings.security.oauth.issuers)
        # Weak: an endpoint belongs to its listener, and is forgotten once that has ended.
        self._endpoints: WeakSet[RevocableEndpoint] = WeakSet()

    def register(self, endpoint: E) -> E:
        """Register an endpoint so that revoked principals are cut off at once; returns it."""
        self._endpoints.add(endpoint)
        return endpoint

    def prepare(self, new: Settings) -> None:
        """Load what judges the tokens of issuers, if these settings are the first with any."""
        if new.security.oauth.issuers and self.server.issued is None and self._new_issued:
            issued = self._new_issued()
            issued.keeps_tokens = lambda: self.keeps_tokens()
            self.server.issued = self.api.issued = issued

    def token_of(self, name: str) -> str | None:
        """Return the token that the person of this name sent last, while it is valid."""
        return None if self.server.issued is None else self.server.issued.token_of(name)

    def apply(self, new: Settings) -> None:
        """Go by these settings from now on, and end what belongs to revoked tokens."""
        before = self.server.rules
        self.server.rules = self._server_rules(new)
        self.api.rules = self._api_rules(new)
        self.proxies = TrustedProxies(new.server.trusted_proxies)
        now = self.server.rules
        if now.tokens == before.tokens and now.issuers == before.issuers:
            return
        if self.server.issued is not None:
            self.server.issued.apply(now.issuers)
        # A token that was exchanged for another token of the same name is revoked, too, so a
        # principal stays only together with its token.
        stayed = frozenset(pair[1] for pair in now.tokens if pair in before.tokens)
        # Whose issuer has changed may do something else now, and is judged anew.
        issuers = frozenset(one.issuer for one in now.issuers if one in before.issuers)

        def is_known(principal: Principal) -> bool:
            if principal.is_of_issuer:
                return principal.name.partition(" ")[0] in issuers
            return principal in stayed

        for endpoint in list(self._endpoints):
            endpoint.end_revoked(is_known)

    def forget_heads(self) -> None:
        """Have listeners conclude anew from the heads that they know, as if the rules were new."""
        self.server.rules = msgspec.structs.replace(self.server.rules)

    def locate(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        """See `TrustedProxies.locate`."""
        return self.proxies.locate(peer, headers)

    def needs_token(self) -> bool:
        """Return whether any request needs a token."""
        return self.api.rules.needs_token

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
