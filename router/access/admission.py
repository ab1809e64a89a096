"""Admits requests to the HTTP listeners: from their headers to a principal, or to a refusal.

Three checks stand in front of every route: `Host` (against DNS rebinding), `Origin` (against other
sites in a browser) and the bearer token with its permissions.

Invariants: no I/O; a token is never compared as text, kept in a message or shown in a repr;
comparing takes the same work whichever token is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct, field

from router.access.challenges import base_url_of, bearer_token_of, challenge, not_let_in
from router.access.refusals import NO_TOKEN, Refusals
from router.access.wrong_tokens import WrongTokens
from router.config.security.hosts import address_of, comparable_host, is_loopback
from router.config.security.tokens import BEARER_NAME, digest_of, find_short_tokens
from router.config.strict import join_errors
from router.messages.commands import FOREVER, Principal, TokenLifetime
from router.messages.errors import ConfigError, HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from router.access.challenges import Error
    from router.access.issued_tokens import IssuedTokens
    from router.config.security.oauth import Issuer
    from router.config.security.security import Security
    from router.config.settings import Server
    from router.messages.commands import Permission

    Admit: TypeAlias = Callable[[Mapping[str, str], str, str], Principal]

ANONYMOUS: Final = Principal("", frozenset({"call", "read"}))
"""Everybody, if nobody needs a token. An instance is code, so an unknown client adds none."""

BEARER: Final = Principal(BEARER_NAME)
"""The principal that sends `security.bearer_token`."""

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::([0-9]{1,5}))?")
"""An IPv6 address, or a name or IPv4 address; then a port (RFC 3986 section 3.2.2)."""

_HOST_KEY: Final = "config.json: server.host"
_TOKENS_PLACE: Final = "config.json: security"
_NO_HOST: Final = "Host is not allowed. Add it to server.allowed_hosts in config.json"
_NO_ORIGIN: Final = "Origin is not allowed. Add it to server.allowed_origins in config.json"
_WRONG_TOKEN: Final = "Invalid bearer token"
_TOO_MANY: Final = "Too many wrong tokens came from this address; try again later"
_NO_PERMISSION: Final = 'This token has no permission "{}"; see security.tokens in config.json'
_NEEDS_TOKEN: Final = (
    'This takes the permission "{}" of a token, and none is set. Set security.bearer_token in '
    "config.json"
)


# --- The rules -------------------------------------------------------------------------------


class AdmissionRules(Struct, frozen=True):
    """The rules of one listener, as data. Header values are compared in lower case.

    Attributes:
        hosts: allowed in `Host`, lower case, with or without `:port`.
        is_any_address_allowed: the listener is bound to all addresses, so `Host` may be any
            literal address. DNS rebinding needs a name, so this lets none in.
        origins: allowed in `Origin`, lower case.
        are_loopback_origins_allowed: the listener is bound to loopback, so pages of this machine
            may call, from any port.
        tokens: SHA-256 of each token, and its principal; without any, and without issuers,
            everybody is `ANONYMOUS`.
        issuers: whose tokens let clients in besides.
        public_url: `server.public_url`.
    """

    hosts: frozenset[str]
    is_any_address_allowed: bool
    origins: frozenset[str]
    are_loopback_origins_allowed: bool
    tokens: tuple[tuple[bytes, Principal], ...]
    issuers: tuple[Issuer, ...] = ()
    public_url: str = ""

    @property
    def needs_token(self) -> bool:
        """True if nobody is let in without a token."""
        return bool(self.tokens or self.issuers)

    def __repr__(self) -> str:  # without the digests of the tokens
        return f"AdmissionRules(hosts={set(self.hosts)!r}, origins={set(self.origins)!r})"

    @classmethod
    def from_settings(
        cls,
        server: Server,
        security: Security,
        bound_host: str | None = None,
        also_bound: Iterable[str] = (),
    ) -> AdmissionRules:
        """Return the rules for listeners on `bound_host` and `also_bound`.

        `bound_host` is `server.host` if not given. The host and the origin of `server.public_url`
        are this router's own.
        """
        public = server.public_url.lower().split("/")[:3]  # scheme, nothing, host with port
        bound = {comparable_host(server.host if bound_host is None else bound_host)}
        bound.update(comparable_host(host) for host in also_bound)
        allowed = (*server.allowed_hosts, *public[2:])
        origins = (*server.allowed_origins, "/".join(public))
        return cls(
            hosts=LOOPBACK_NAMES | bound | {comparable_host(host) for host in allowed},
            is_any_address_allowed=not bound.isdisjoint(("0.0.0.0", "::")),
            origins=frozenset(origin.lower().rstrip("/") for origin in origins if origin),
            are_loopback_origins_allowed=all(is_loopback(host) for host in bound),
            tokens=tuple(_principals(security)),
            issuers=security.oauth.issuers,
            public_url=server.public_url,
        )

    def is_host_allowed(self, host: str) -> bool:
        """Return whether a request may have this `Host`."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1] or found[2]
        if name in self.hosts or f"{name}:{found[3]}" in self.hosts:
            return True
        return self.is_any_address_allowed and address_of(name) is not None

    def is_origin_allowed(self, origin: str) -> bool:
        """Return whether a request may have this `Origin`."""
        origin = origin.lower()
        if origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        found = _HOST.fullmatch(rest)
        if not self.are_loopback_origins_allowed or found is None:
            return False
        return scheme in ("http", "https") and (found[1] or found[2]) in LOOPBACK_NAMES

    def principal_of(self, token: str) -> Principal | None:
        """Return the principal that has this token; None for an unknown token."""
        # Bytes that are no UTF-8 arrive as lone surrogates: no token has them, but none may raise.
        sent = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for digest, principal in self.tokens:
            if hmac.compare_digest(sent, digest):
                found = principal  # and go on: the time taken must not tell which token it is
        return found


def _principals(security: Security) -> Iterator[tuple[bytes, Principal]]:
    if security.bearer_token:
        yield digest_of(security.bearer_token), BEARER
    for name, named in security.tokens.items():
        instances = None if named.instances is None else frozenset(named.instances)
        permissions = frozenset(named.permissions)
        yield digest_of(named.token), Principal(name, permissions, instances, named.profile)


# --- Admission -------------------------------------------------------------------------------


def _no_prefix(_: Mapping[str, str]) -> str:
    return ""


class Admission(Struct, eq=False):
    """Admits requests by the rules of the moment, for listeners that live longer than the rules.

    Attributes:
        rules: in force now; a reload replaces them.
        refusals: reports the requests that are refused.
        wrong_tokens: counts the wrong tokens of each address.
        issued: knows the tokens of issuers; None while there are none.
        prefix_of: headers -> the path that a trusted proxy has taken away.
        has_open_paths: what tells nothing secret is answered without a token, such as `/health`.
    """

    has_open_paths: ClassVar[bool] = True

    rules: AdmissionRules
    refusals: Refusals = field(default_factory=Refusals)
    wrong_tokens: WrongTokens = field(default_factory=WrongTokens)
    issued: IssuedTokens | None = None
    prefix_of: Callable[[Mapping[str, str]], str] = _no_prefix

    def __repr__(self) -> str:
        return f"Admission({self.rules!r})"

    def admit(
        self,
        headers: Mapping[str, str],
        address: str = "",
        path: str = "",
        permission: Permission = "call",
    ) -> Principal:
        """Admit a request as a principal (`ANONYMOUS` if nobody needs a token).

        Args:
            headers: of the request; their names are lower case, as ASGI has them.
            address: the IP address of the client; empty if it is not known.
            path: of the request, for clients that learn from the refusal where to log in.
            permission: what the request takes, for the same.

        Raises:
            HttpRefusal: 403 for its `Host` or `Origin`, 401 for its token; 429 for a wrong token if
                too many came from this address. For a token of an issuer also 403, nothing in it
                grants any permission, and 503, the issuer cannot be asked.
        """
        rules = self.rules
        self.check_site(headers)
        if not rules.needs_token:
            return ANONYMOUS
        token = bearer_token_of(headers)
        if not token:
            raise HttpRefusal(401, NO_TOKEN, self._challenge(headers, path, permission))
        principal = rules.principal_of(token)
        if principal is not None:
            return principal
        verdict = self.issued.verdict(token) if self.issued and rules.issuers else None
        if verdict is None or verdict.problem == "invalid":
            raise self._wrong_token(headers, address, path, permission)
        if verdict.principal is not None:
            return verdict.principal
        error: Error = "invalid_token" if verdict.problem == "expired" else "insufficient_scope"
        how = self._challenge(headers, path, permission, error)
        raise not_let_in(verdict.problem, permission, how)

    def _wrong_token(
        self, headers: Mapping[str, str], address: str, path: str, permission: Permission
    ) -> HttpRefusal:
        retry_in_s = self.wrong_tokens.count(address, time.monotonic())
        if retry_in_s is None:
            how = self._challenge(headers, path, permission, "invalid_token")
            return HttpRefusal(401, _WRONG_TOKEN, how)
        return HttpRefusal(429, _TOO_MANY, (("Retry-After", str(math.ceil(retry_in_s))),))

    def _challenge(
        self,
        headers: Mapping[str, str],
        path: str,
        permission: Permission,
        error: Error = "",
    ) -> tuple[tuple[str, str], ...]:
        rules = self.rules
        base_url = base_url_of(headers, rules.public_url, self.prefix_of(headers))
        return challenge(rules.issuers, base_url, path, permission, error)

    def check_token(self, headers: Mapping[str, str]) -> Awaitable[None] | None:
        """Return what to await before `admit`, if anything: the check of a token of an issuer."""
        token = self._issued_token(headers)
        if not token or self.issued is None or not self.issued.needs_check(token):
            return None
        is_host_allowed = self.rules.is_host_allowed(headers.get("host", ""))
        return self.issued.check(token) if is_host_allowed else None

    def lifetime_of(self, headers: Mapping[str, str]) -> TokenLifetime:
        """Return for how long the token of an admitted request holds."""
        token = self._issued_token(headers)
        if not token or self.issued is None:
            return FOREVER
        verdict = self.issued.verdict(token)
        return TokenLifetime(verdict.check_again_s, verdict.expires_s)

    def _issued_token(self, headers: Mapping[str, str]) -> str:
        """Return the token of a request if none but an issuer can judge it; else an empty text."""
        if self.issued is None or not self.rules.issuers:
            return ""
        token = bearer_token_of(headers)
        return "" if self.rules.principal_of(token) is not None else token

    def check_site(self, headers: Mapping[str, str]) -> None:
        """Check `Host` and `Origin` of a request that needs no token.

        Raises:
            HttpRefusal: 403.
        """
        rules = self.rules
        if not rules.is_host_allowed(headers.get("host", "")):
            raise HttpRefusal(403, _NO_HOST)
        origin = headers.get("origin")
        if origin is not None and not rules.is_origin_allowed(origin):
            raise HttpRefusal(403, _NO_ORIGIN)

    def admit_with(self, permission: Permission) -> Admit:
        """Return `admit` for principals with this permission only, which also reports refusals.

        The returned function takes the path of the request as well, for these reports. It raises
        `HttpRefusal` as `admit` does, and 403 without the permission.
        """

        def admit_permitted(headers: Mapping[str, str], address: str, path: str) -> Principal:
            try:
                principal = self.admit(headers, address, path, permission)
                if permission not in principal.permissions:
                    raise self._lacks(permission, principal, headers, path)
            except HttpRefusal as refusal:
                self.refusals.note(address, path, refusal)
                raise
            return principal

        return admit_permitted

    def _lacks(
        self, permission: Permission, principal: Principal, headers: Mapping[str, str], path: str
    ) -> HttpRefusal:
        if not principal.is_of_issuer:
            problem = _NO_PERMISSION if principal.name else _NEEDS_TOKEN
            return HttpRefusal(403, problem.format(permission))
        how = self._challenge(headers, path, permission, "insufficient_scope")
        return not_let_in("no permission", permission, how)

    def is_known(self, principal: Principal) -> bool:
        """Return whether a principal of this name still exists, with the same permissions."""
        if principal.is_of_issuer:
            return self.issued is not None and self.issued.is_known(principal)
        rules = self.rules
        return principal in ([one for _, one in rules.tokens] if rules.needs_token else [ANONYMOUS])


# --- Exposure --------------------------------------------------------------------------------


def check_exposure(host: str, security: Security, key: str = _HOST_KEY) -> None:
    """Refuse to serve beyond this machine without a token, or with one that can be guessed.

    Args:
        host: the host to bind to.
        security: the tokens.
        key: where `host` is configured.

    Raises:
        ConfigError: `host` is no loopback address, and a token is too short; or there is none, and
            `security.allow_anonymous` does not allow that.
    """
    if is_loopback(host):
        return
    errors = list(find_short_tokens(security.bearer_token, security.tokens, _TOKENS_PLACE))
    if errors:
        raise join_errors(errors)
    if security.has_token or security.allow_anonymous:
        return
    raise ConfigError(
        key,
        f'"{host}" can be reached from other machines, and no token is set. Set '
        "security.bearer_token, or set security.allow_anonymous to true to serve everybody",
    )


def check_exposures(hosts: Mapping[str, str], security: Security) -> None:
    """Check the exposure of several hosts, by the keys where they are configured.

    Raises:
        ConfigError: as `check_exposure`; one line for each host or token.
    """
    errors: dict[str, ConfigError] = {}
    for key, host in hosts.items():
        try:
            check_exposure(host, security, key)
        except ConfigError as exc:
            errors[str(exc)] = exc  # what is wrong with a token is told once
    if errors:
        raise join_errors(list(errors.values()))
