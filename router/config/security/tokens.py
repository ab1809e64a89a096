"""Defines the tokens of `config.json`: their syntax, their permissions and their digests.

Invariants: pure; a token is in no repr and in no message.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Final, Protocol, TypeAlias

import attrs

from router.config.strict import Check
from router.files.names import NAME_RULE, is_name

# The names in annotations are looked up when a class is filled, so these are no types only.
from router.messages.commands import Permission  # noqa: TC001
from router.messages.errors import ConfigError
from router.messages.rates import RateLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BEARER_NAME: Final = "bearer"
"""The name of the principal that sends `security.bearer_token`."""

STDIO_NAME: Final = "stdio"
"""The name of the parent process, on the stdio listener."""

SHORTEST_TOKEN: Final = 16
"""Characters of a token that other machines can try: 64 random bits as hex digits."""

_STORED_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
TOKEN_RULE: Final = (
    "a token of printable ASCII characters without spaces, or sha256: and 64 hex digits"
)


def is_token(text: str) -> bool:
    """Return whether a client can send this token, or it is a digest of one."""
    # A malformed digest would lock everybody out: no token has its SHA-256.
    if text.startswith("sha256:") and not _STORED_DIGEST.fullmatch(text):
        return False
    # Such text gets through a header unchanged (RFC 9110 section 5.5).
    return text.isascii() and text.isprintable() and " " not in text


def _is_written_token(text: str) -> bool:
    """Return whether a file may hold this: a token, or text with references to one."""
    return "${" in text or is_token(text)


def _is_free_name(text: str) -> bool:
    return is_name(text) and text not in (BEARER_NAME, STDIO_NAME)


OptionalToken: TypeAlias = Annotated[str, Check(TOKEN_RULE, _is_written_token, secret=True)]
Token: TypeAlias = Annotated[
    str, Check(TOKEN_RULE, lambda text: text != "" and _is_written_token(text), secret=True)
]
InstanceName: TypeAlias = Annotated[str, Check(NAME_RULE.removeprefix("expected "), is_name)]
TokenName: TypeAlias = Annotated[
    str,
    Check(
        f'as its name {NAME_RULE.removeprefix("expected ")}, and not "{BEARER_NAME}" or '
        f'"{STDIO_NAME}"',
        _is_free_name,
    ),
]


Count: TypeAlias = Annotated[int, Check("a positive integer", lambda n: n > 0)]


@attrs.frozen
class Rate:
    """Limits of the calls of one token, all its sessions together.

    Attributes:
        calls_per_minute: the calls that it may begin in a minute; None for no limit.
        burst: the calls that it may begin at once after a pause; None: a tenth of
            `calls_per_minute`, at least one.
        concurrent_calls: the calls that it may have in flight; None for no limit.
    """

    calls_per_minute: Count | None = None
    burst: Count | None = None
    concurrent_calls: Count | None = None


@attrs.frozen
class NamedToken:
    """One of several tokens.

    Attributes:
        token: in plain text, or `sha256:` and 64 hex digits, which stands for the token with that
            SHA-256 digest.
        permissions: the permissions of its bearer.
        instances: names of the only instances that its bearer sees; None for all.
        profile: the name of the only profile that its bearer sees; None for every view.
        rate: limits of its calls; None for no limit.
    """

    token: Token = attrs.field(repr=False)
    permissions: tuple[Permission, ...] = ("call", "read")
    instances: tuple[InstanceName, ...] | None = None
    profile: str | None = None
    rate: Rate | None = None


def rate_limits(tokens: Mapping[str, NamedToken]) -> dict[str, RateLimits]:
    """Return the limits of the tokens that have any, by name."""
    return {name: _limits(named.rate) for name, named in tokens.items() if named.rate is not None}


def _limits(rate: Rate) -> RateLimits:
    burst = rate.burst or max(1, (rate.calls_per_minute or 0) // 10)
    return RateLimits(rate.calls_per_minute, burst, rate.concurrent_calls)


def find_rate_mistakes(tokens: Mapping[str, NamedToken], place: str) -> Iterator[ConfigError]:
    """Yield an error for each `burst` that would have no effect.

    Args:
        tokens: `security.tokens`.
        place: of `security.tokens`, for messages.
    """
    for name, named in tokens.items():
        rate = named.rate
        if rate is not None and rate.burst is not None and rate.calls_per_minute is None:
            problem = "limits nothing without calls_per_minute; add that, or remove burst"
            yield ConfigError(f"{place}.{name}.rate.burst", problem)


def digest_of(token: str) -> bytes:
    """Return the SHA-256 digest of a token, which may be stored as its digest."""
    stored = _STORED_DIGEST.fullmatch(token)
    return bytes.fromhex(stored[1]) if stored else hashlib.sha256(token.encode()).digest()


def find_short_tokens(
    bearer_token: str, tokens: Mapping[str, NamedToken], place: str
) -> Iterator[ConfigError]:
    """Yield an error for each token that is short enough to be guessed; a digest is not judged.

    Args:
        bearer_token: `security.bearer_token`.
        tokens: `security.tokens`.
        place: of `security`, for messages.
    """
    found = {"bearer_token": bearer_token} if bearer_token else {}
    found |= {f"tokens.{name}.token": named.token for name, named in tokens.items()}
    for key, token in found.items():
        if len(token) < SHORTEST_TOKEN:
            problem = f"is shorter than {SHORTEST_TOKEN} characters, and other machines can try it"
            yield ConfigError(f"{place}.{key}", f"{problem}; make one with: openssl rand -hex 32")


class Served(Protocol):
    """Says who is served: those who have a token, or everybody; see `settings.Security`."""

    @property
    def has_token(self) -> bool: ...

    @property
    def allow_anonymous(self) -> bool: ...


def find_open_proxies(proxies: Sequence[str], served: Served, file: str) -> Iterator[ConfigError]:
    """Yield an error if everybody is served through reverse proxies, and nobody has asked for it.

    Other machines reach even a listener on loopback: through the proxy.

    Args:
        proxies: `server.trusted_proxies`.
        served: says who is served.
        file: the name of the config file in messages.
    """
    if proxies and not (served.has_token or served.allow_anonymous):
        problem = "other machines reach the router through a proxy, and no token is set"
        way_out = "Set security.bearer_token, or set security.allow_anonymous to true to serve"
        yield ConfigError(f"{file}: server.trusted_proxies", f"{problem}. {way_out} everybody")


def find_repeated_tokens(
    bearer_token: str, tokens: Mapping[str, NamedToken], place: str
) -> Iterator[ConfigError]:
    """Yield an error for each token that has two names: its bearer would be ambiguous.

    Args:
        bearer_token: `security.bearer_token`.
        tokens: `security.tokens`.
        place: of `security.tokens`, for messages.
    """
    names = {digest_of(bearer_token): "security.bearer_token"} if bearer_token else {}
    for name, named in tokens.items():
        first = names.setdefault(digest_of(named.token), name)
        if first != name:
            problem = f"is the token of {first} too; give each its own"
            yield ConfigError(f"{place}.{name}.token", problem)
