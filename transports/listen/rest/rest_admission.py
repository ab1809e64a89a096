"""Decides who may use the REST API and its WebSocket: by token, ticket or cookie, from which pages.

Credentials are never allowed across origins (CORS), so a page of another origin needs a token that
it sends in a header. The cookie of a login counts for pages of this router only, and a token that
was sent as well goes before it. No I/O.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from msgspec import Struct

from router.messages.commands import forever
from router.messages.errors import NOT_ALLOWED, HttpRefusal, RpcError
from transports.listen.rest.backend import report_nothing
from transports.listen.serving.asgi import address_of, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.messages.commands import Principal, TokenLifetime
    from transports.listen.rest.backend import Browsers
    from transports.listen.serving.asgi import Message
    from transports.listen.serving.exchange import Headers

OPEN_PATHS: Final = frozenset(
    {"/", "/health", "/openapi.json", "/docs", "/docs.css", "/docs.js", "/docs.svg"}
)
"""Paths that need no token, because they tell nothing secret; `Host` and `Origin` are checked."""

_OF_TOKENS: Final = (401, 429, 503)
"""Statuses of a request whose token does not let it in, or cannot be judged now."""

VARY: Final = (b"vary", b"Origin")
"""Keeps caches from giving the answer for one origin to a page of another."""

_LOOPBACK: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?")


class Cors(Struct, frozen=True):
    """Decides which pages may read the answers (`api.cors_origin`).

    Attributes:
        allowed: `*` or `0.0.0.0` for all pages, `127.0.0.1` for pages of this machine, else one
            origin.
    """

    allowed: str

    @property
    def is_for_all(self) -> bool:
        """True if pages of every origin may read the answers."""
        return self.allowed in ("*", "0.0.0.0")

    def headers_for(self, origin: str | None) -> Headers:
        """Return the headers of an answer to a page of `origin` (Fetch standard, CORS protocol)."""
        if origin is None:
            return ()
        if self.is_for_all:
            return ((b"access-control-allow-origin", b"*"),)
        if not self._allows(origin):
            return (VARY,)
        return ((b"access-control-allow-origin", origin.encode("latin-1")), VARY)

    def _allows(self, origin: str) -> bool:
        if self.allowed == "127.0.0.1":
            return _LOOPBACK.fullmatch(origin) is not None
        return origin.lower() == self.allowed.lower().rstrip("/")


class RestAdmission(Struct, frozen=True):
    """Decides who is let in.

    Attributes:
        admit: the rules of the router: headers, names in lower case, and the client's IP address
            (empty if unknown) -> the principal; raises `HttpRefusal`.
        needs_token: returns whether any token is configured. Then a page of another origin gets in
            only with a token, so `api.cors_origin` may let all pages try.
        cors: the pages that may read the answers.
        redeem: returns the principal that a WebSocket's ticket was issued to; None for an unknown
            ticket.
        is_known: returns whether such a principal still exists, for those who came with a ticket.
        has_open_paths: `OPEN_PATHS` need no token.
        refused: reports a request that is not let in: address, path, answer.
        lifetime_of: headers of an admitted request -> for how long its token holds.
        browsers: those that have logged in; None if none can.
    """

    admit: Callable[[Mapping[str, str], str], Principal]
    needs_token: Callable[[], bool]
    cors: Cors
    redeem: Callable[[str], Principal | None]
    is_known: Callable[[Principal], bool]
    has_open_paths: bool = True
    refused: Callable[[str, str, HttpRefusal], None] = report_nothing
    lifetime_of: Callable[[Mapping[str, str]], TokenLifetime] = forever
    browsers: Browsers | None = None

    def principal_of(self, scope: Message, headers: Mapping[str, str]) -> Principal | None:
        """Return the principal of a request; None for an unknown one on a path open to all.

        Raises:
            HttpRefusal: the request is not let in.
        """
        try:
            return self._principal_of(scope, headers)
        except HttpRefusal as refused:
            self.refused(address_of(scope), path_of(scope), refused)
            raise

    def _principal_of(self, scope: Message, headers: Mapping[str, str]) -> Principal | None:
        try:
            return self._admit(scope, headers)
        except HttpRefusal as refused:
            if refused.status not in _OF_TOKENS:
                raise
            if scope["type"] == "websocket":
                return self._principal_by_ticket(scope, refused)
            is_open = path_of(scope) in OPEN_PATHS or is_preflight(scope, headers)
            if is_open and self.has_open_paths:
                return None
            raise

    def is_still_admitted(
        self, principal: Principal, scope: Message, headers: Mapping[str, str]
    ) -> bool:
        """Return whether a WebSocket that was let in would be let in now, as the same principal."""
        try:
            return self._admit(scope, headers) == principal
        except HttpRefusal as refused:
            # A ticket cannot be redeemed twice, so the principal it was issued to decides.
            return refused.status == 401 and "ticket" in _query(scope) and self._is_known(principal)

    def _admit(self, scope: Message, headers: Mapping[str, str]) -> Principal:
        address = address_of(scope)
        principal = self._principal_by_cookie(scope, headers)
        if principal is not None:
            return principal
        try:
            return self.admit(headers, address)
        except HttpRefusal as refused:
            # CORS does not apply to WebSockets: there only `Origin` tells a page from a program.
            may_try = self.needs_token() and self.cors.is_for_all and scope["type"] == "http"
            if refused.status != 403 or not may_try or headers.get("origin") in (None, "null"):
                raise
        without_origin = {name: headers[name] for name in headers if name != "origin"}
        return self.admit(without_origin, address)

    def _principal_by_cookie(self, scope: Message, headers: Mapping[str, str]) -> Principal | None:
        is_open = path_of(scope) in OPEN_PATHS
        if self.browsers is None or "authorization" in headers or is_open:
            return None
        method = scope["method"] if scope["type"] == "http" else ""
        return self.browsers.admit(method, headers)

    def _principal_by_ticket(self, scope: Message, refused: HttpRefusal) -> Principal:
        for ticket in _query(scope).get("ticket", [])[:1]:
            principal = self.redeem(ticket)
            if principal is not None and self._is_known(principal):
                return principal
        raise refused

    def _is_known(self, principal: Principal) -> bool:
        is_logged_in = self.browsers is not None and self.browsers.is_known(principal)
        return is_logged_in or self.is_known(principal)


def is_preflight(scope: Message, headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks what a page may do (Fetch standard, CORS-preflight request)."""
    is_options = scope["type"] == "http" and scope["method"] == "OPTIONS"
    return is_options and "origin" in headers and "access-control-request-method" in headers


def _query(scope: Message) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def is_limited(principal: Principal) -> bool:
    """Return whether a principal sees only some instances."""
    return principal.instances is not None or principal.profile is not None


def check_may_read_log(principal: Principal) -> None:
    """Let only principals read the log that may read all instances: the log mentions all.

    Raises:
        RpcError: the principal may not.
    """
    if "read" not in principal.permissions or is_limited(principal):
        raise RpcError(NOT_ALLOWED, 'This token has no permission "read" for all instances')


def check_may_change_profiles(principal: Principal) -> None:
    """Let only principals see and change profiles that may change all instances.

    A profile shows instances to others, and its own limits to the principal that is bound to it.

    Raises:
        RpcError: the principal may not.
    """
    if "admin" in principal.permissions and not is_limited(principal):
        return
    if not principal.name:
        raise RpcError(
            NOT_ALLOWED,
            "Profiles need a token with the admin permission; set security.bearer_token in "
            "config.json",
        )
    raise RpcError(NOT_ALLOWED, 'This token has no permission "admin" for all instances')
