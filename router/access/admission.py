"""Who is let in: the headers of a request -> a principal, or a refusal.

Job: the checks in front of every HTTP route: `Host` against DNS rebinding, `Origin` against other
sites in a browser, the bearer token, what its principal may do. Neighbours: the listeners ask, the
composition root builds it from the settings; `admin` and `errors` below.

Invariants: pure, no I/O; a token is never compared as text, kept in a message or shown in a repr;
whichever token it is, or none, comparing takes the same work.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING, Final

import attrs

from router.config.strict import join_errors
from router.config.tokens import BEARER_NAME, digest_of
from router.messages.commands import Principal
from router.messages.errors import ConfigError, HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from router.config.settings import Security, Server
    from router.messages.commands import Permission

    Admit: TypeAlias = Callable[[Mapping[str, str]], Principal]

ANONYMOUS: Final = Principal("", frozenset({"call", "read"}))
"""Everybody, where no token is configured. An instance is code, so nobody unknown may add one."""

BEARER: Final = Principal(BEARER_NAME)
"""Whoever knows `security.bearer_token`."""

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::([0-9]{1,5}))?")
_REALM: Final = (("WWW-Authenticate", "Bearer"),)

_HOST_KEY: Final = "config.json: server.host"
_NO_HOST: Final = "Host is not allowed. Add it to server.allowed_hosts in config.json"
_NO_ORIGIN: Final = "Origin is not allowed. Add it to server.allowed_origins in config.json"
_NO_TOKEN: Final = "Bearer token required but not provided"
_WRONG_TOKEN: Final = "Invalid bearer token"
_LACKS: Final = 'This token has no permission "{}"; see security.tokens in config.json'
_NEEDS_TOKEN: Final = (
    'This takes the permission "{}" of a token, and none is set. Set security.bearer_token in '
    "config.json"
)


@attrs.frozen
class Admission:
    """The rules of one router. Header names are lower case, as ASGI has them.

    Attributes:
        hosts: allowed in `Host`, lower case, with or without `:port`.
        any_address: bound to all addresses: any literal address may stand in `Host`. DNS
            rebinding needs a name, so this lets none in.
        origins: allowed in `Origin`, lower case.
        loopback_origins: bound to loopback: pages of this machine may call, from any port.
        tokens: SHA-256 of each token and who has it; none: everybody is `ANONYMOUS`.
    """

    hosts: frozenset[str]
    any_address: bool
    origins: frozenset[str]
    loopback_origins: bool
    tokens: tuple[tuple[bytes, Principal], ...] = attrs.field(repr=False)

    @classmethod
    def from_settings(
        cls, server: Server, security: Security, bound_host: str | None = None
    ) -> Admission:
        """The rules for a listener on `bound_host`, which is `server.host` if not given."""
        bound = _bare(server.host if bound_host is None else bound_host)
        allowed = {_bare(host) for host in server.allowed_hosts}
        return cls(
            hosts=LOOPBACK_NAMES | {bound} | allowed,
            any_address=bound in ("0.0.0.0", "::"),
            origins=frozenset(origin.lower().rstrip("/") for origin in server.allowed_origins),
            loopback_origins=is_loopback(bound),
            tokens=tuple(_principals(security)),
        )

    def admit(self, headers: Mapping[str, str]) -> Principal:
        """Let a request in, as a principal (`ANONYMOUS` where there is no token to know).

        Raises:
            Refused: 403 for its `Host` or `Origin`, 401 for its token.
        """
        if not self._is_host_allowed(headers.get("host", "")):
            raise HttpRefusal(403, _NO_HOST)
        origin = headers.get("origin")
        if origin is not None and not self._is_origin_allowed(origin.lower()):
            raise HttpRefusal(403, _NO_ORIGIN)
        return self._identify(headers) if self.tokens else ANONYMOUS

    def knows(self, principal: Principal) -> bool:
        """Is there still somebody who is called that and may do just that?"""
        known = (one for _, one in self.tokens) if self.tokens else (ANONYMOUS,)
        return principal in known

    def admit_with(self, permission: Permission) -> Admit:
        """`admit`, for those only who have this permission.

        What it returns raises `Refused` as `admit` does, and 403 for who lacks the permission.
        """
        return requiring(permission, self.admit)

    def _is_host_allowed(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1] or found[2]
        if name in self.hosts or f"{name}:{found[3]}" in self.hosts:
            return True
        return self.any_address and _address(name) is not None

    def _is_origin_allowed(self, origin: str) -> bool:
        if origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        found = _HOST.fullmatch(rest)
        if not self.loopback_origins or scheme not in ("http", "https") or found is None:
            return False
        return (found[1] or found[2]) in LOOPBACK_NAMES

    def _identify(self, headers: Mapping[str, str]) -> Principal:
        # RFC 9110 section 11.1: the scheme's name is not case-sensitive.
        scheme, _, token = headers.get("authorization", "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise HttpRefusal(401, _NO_TOKEN, _REALM)
        sent = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for digest, principal in self.tokens:
            if hmac.compare_digest(sent, digest):
                found = principal  # and go on: how long it takes must not tell which one it is
        if found is None:
            raise HttpRefusal(401, _WRONG_TOKEN, _REALM)
        return found


class Gate:
    """The rules in force, for listeners that live longer than the rules do.

    Attributes:
        rules: of the router as it is configured now; a reload exchanges them.
    """

    def __init__(self, rules: Admission) -> None:
        self.rules = rules

    def admit(self, headers: Mapping[str, str]) -> Principal:
        """See `Admission.admit`."""
        return self.rules.admit(headers)

    def knows(self, principal: Principal) -> bool:
        """See `Admission.knows`."""
        return self.rules.knows(principal)

    def admit_with(self, permission: Permission) -> Admit:
        """See `Admission.admit_with`; what it returns asks the rules of the moment."""
        return requiring(permission, self.admit)


def requiring(permission: Permission, admit: Admit) -> Admit:
    """`admit`, for those only who have a permission; see `Admission.admit_with`."""

    def admit_some(headers: Mapping[str, str]) -> Principal:
        principal = admit(headers)
        check_permission(principal, permission)
        return principal

    return admit_some


def check_permission(principal: Principal, permission: Permission) -> None:
    """Let only those go on who have a permission.

    Raises:
        Refused: 403, and how to get it.
    """
    if permission not in principal.permissions:
        problem = _LACKS if principal.name else _NEEDS_TOKEN
        raise HttpRefusal(403, problem.format(permission))


def _principals(security: Security) -> Iterator[tuple[bytes, Principal]]:
    if security.bearer_token:
        yield digest_of(security.bearer_token), BEARER
    for name, one in security.tokens.items():
        instances = None if one.instances is None else frozenset(one.instances)
        yield digest_of(one.token), Principal(name, frozenset(one.permissions), instances)


def check_exposure(host: str, security: Security, key: str = _HOST_KEY) -> None:
    """Refuse to serve beyond this machine without a token; `key` is where `host` is configured.

    Raises:
        ConfigError: `host` is no loopback address, there is no token, and
            `security.allow_anonymous` does not say that this is meant.
    """
    if is_loopback(host) or security.has_token or security.allow_anonymous:
        return
    raise ConfigError(
        key,
        f'"{host}" can be reached from other machines, and no token is set. Set '
        "security.bearer_token, or set security.allow_anonymous to true to serve everybody",
    )


def check_exposures(hosts: Mapping[str, str], security: Security) -> None:
    """As `check_exposure`, for hosts by where they are configured, and for all in one go."""
    problems: list[ConfigError] = []
    for key, host in hosts.items():
        try:
            check_exposure(host, security, key)
        except ConfigError as exc:
            problems.append(exc)
    if problems:
        raise join_errors(problems)


def is_loopback(host: str) -> bool:
    """Can this host to bind to be reached from this machine only? Other names count as no."""
    bare = _bare(host)
    address = _address(bare)
    return bare == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _bare(host: str) -> str:
    """Lower case, and an IPv6 address without its brackets; a port stays."""
    found = _HOST.fullmatch(host.lower())
    if found is None or found[1] is None:
        return host.lower()
    return f"{found[1]}:{found[3]}" if found[3] else found[1]
