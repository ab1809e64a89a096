"""Finds out about the tokens of issuers, for admission (`router.access.issued_tokens`).

A token is signed, and then verified with the keys of its issuer, or the issuer is asked about it.
Which issuer that is stands in the token itself, or is the only one that can be asked.

Invariants:

- However many requests come with a new token at the same time, it is checked once.
- An issuer vouches for its own tokens only: each has its own keys.
- Clients learn that a token is invalid, and never why; the reason is in the log, once a minute.
- A signed token is verified again after `SIGNED_S`, and an issuer asked again after `ASKED_S`, so
  withdrawn keys and tokens take effect.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import trio
from msgspec import Struct

from router.access.issued_tokens import Verdict
from router.oauth.resource_server.claims import judge
from router.oauth.resource_server.introspection import Introspector
from router.oauth.resource_server.issuer_keys import IssuerKeys
from router.oauth.resource_server.problems import IssuerUnavailable, TokenRefused
from router.oauth.resource_server.verdicts import Verdicts, digest_of
from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.security.oauth import Issuer
    from router.messages.commands import Principal
    from transports.outbound.fetched import Fetch

log = logging.getLogger("mcp_router.oauth")

TOKEN_LIMIT: Final = 16 * 1024
"""Characters of a token; those with hundreds of groups in them have some thousands."""

SIGNED_S: Final = 300.0
ASKED_S: Final = 30.0

REFUSED_S: Final = 10.0
"""A token that is refused is not looked at again for so long. It may become valid: its key is new,
or its time has come."""

UNAVAILABLE_S: Final = 1.0
"""So long, all requests with a token whose issuer could not be asked are told the same."""

QUIET_S: Final = 60.0
"""The least time between two lines of the log about one issuer and reason."""

PERSON_LIMIT: Final = 4096
"""People whose last token is kept, for exchange."""


class _Signed(Struct, frozen=True):
    issuer: Issuer
    keys: IssuerKeys


class _Asked(Struct, frozen=True):
    issuer: Issuer
    introspector: Introspector


_Source: TypeAlias = _Signed | _Asked


class ResourceServer:
    """The tokens of all issuers; an `IssuedTokens`.

    Args:
        fetch: makes requests to issuers.
        now: returns the Unix time.

    Attributes:
        keeps_tokens: see `IssuedTokens`.
    """

    def __init__(self, fetch: Fetch, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._now = now
        self.keeps_tokens: Callable[[], bool] = lambda: False
        self._issuers: tuple[Issuer, ...] = ()
        self._sources: dict[str, _Source] = {}
        self._verdicts = Verdicts()
        self._under_way: dict[bytes, trio.Event] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._last_tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._signed_tokens: Any = None  # the module, once it was imported

    # --- As admission sees it ----------------------------------------------------------------

    def needs_check(self, token: str, /) -> bool:
        """See `IssuedTokens`."""
        return self._verdicts.is_due(digest_of(token))

    def verdict(self, token: str, /) -> Verdict:
        """See `IssuedTokens`."""
        verdict = self._verdicts.of(digest_of(token))
        if verdict.principal is not None and self.keeps_tokens():
            self._keep_token(verdict.principal, token, verdict.expires_s)
        return verdict

    def is_known(self, principal: Principal, /) -> bool:
        """See `IssuedTokens`."""
        return self._verdicts.has(principal)

    def apply(self, issuers: Sequence[Issuer], /) -> None:
        """See `IssuedTokens`; the keys of an issuer that stays as it was are kept."""
        if tuple(issuers) == self._issuers:
            return
        before, self._issuers = self._sources, tuple(issuers)
        self._sources = {
            one.issuer: same
            if (same := before.get(one.issuer)) is not None and same.issuer == one
            else self._source_of(one)
            for one in issuers
        }
        kept = {name for name, one in self._sources.items() if before.get(name) is one}
        self._verdicts.forget_all_but(kept)
        self._last_tokens.clear()

    def _source_of(self, issuer: Issuer) -> _Source:
        if issuer.introspection is not None:
            return _Asked(issuer, Introspector(issuer, issuer.introspection, self._fetch))
        return _Signed(issuer, IssuerKeys(issuer, self._fetch, self._read_keys, self._find_keys))

    def _read_keys(self, document: bytes) -> Any:
        return self._signed_tokens.read_keys(document)

    def _find_keys(self, token: Any, keys: Any) -> Any:
        return self._signed_tokens.find_keys(token, keys)

    # --- Exchange ----------------------------------------------------------------------------

    def token_of(self, name: str, /) -> str | None:
        """See `IssuedTokens`."""
        token, expires_s = self._last_tokens.get(name, (None, 0.0))
        return token if trio.current_time() < expires_s else None

    def _keep_token(self, principal: Principal, token: str, expires_s: float) -> None:
        self._last_tokens.pop(principal.name, None)
        self._last_tokens[principal.name] = token, expires_s
        if len(self._last_tokens) > PERSON_LIMIT:
            self._last_tokens.popitem(last=False)

    # --- Checks ------------------------------------------------------------------------------

    async def check(self, token: str, /) -> None:
        """See `IssuedTokens`."""
        await trio.lowlevel.checkpoint()
        digest = digest_of(token)
        while self._verdicts.is_due(digest):
            under_way = self._under_way.get(digest)
            if under_way is not None:
                # Its client may leave before the end; then somebody else goes on.
                await under_way.wait()
                continue
            self._under_way[digest] = done = trio.Event()
            try:
                issuers = self._issuers
                verdict = await self._find_out(token)
                if issuers is self._issuers:
                    self._verdicts.keep(digest, verdict)
            finally:
                del self._under_way[digest]
                done.set()

    async def _find_out(self, token: str) -> Verdict:
        await trio.lowlevel.checkpoint()
        source = self._source_for(token)
        if source is None:
            return Verdict(problem="invalid", check_again_s=trio.current_time() + REFUSED_S)
        try:
            claims, holds_s = await self._claims_of(token, source)
            judged = judge(claims, source.issuer, self._now())
        except TokenRefused as exc:
            self._tell(source.issuer, "Refused a token", exc.reason)
            return Verdict(problem="invalid", check_again_s=trio.current_time() + REFUSED_S)
        except IssuerUnavailable as exc:
            self._tell(source.issuer, "Could not check a token", exc.reason)
            check_again_s = trio.current_time() + UNAVAILABLE_S
            return Verdict(problem="unavailable", check_again_s=check_again_s)
        now_s = trio.current_time()
        expires_s = now_s + judged.expires_at_s - self._now()
        if expires_s <= now_s:
            return Verdict(problem="expired")
        check_again_s = min(now_s + holds_s, expires_s)
        if not judged.principal.permissions:
            self._tell(source.issuer, "Refused a token", "none of its permissions fits")
            return Verdict(None, "no permission", check_again_s, expires_s)
        return Verdict(judged.principal, "", check_again_s, expires_s)

    def _source_for(self, token: str) -> _Source | None:
        """Return who can tell about a token; None for a token of nobody that is known here."""
        if len(token) > TOKEN_LIMIT or not token.isascii() or not token.isprintable():
            return None
        named = _issuer_named_in(token)
        if named is not None:
            source = self._sources.get(named)
            if source is None:
                self._tell_of_slash(named)
            return source
        asked = (one for one in self._sources.values() if isinstance(one, _Asked))
        return next(asked, None)

    def _tell_of_slash(self, named: str) -> None:
        """Say that an unknown issuer is a known one, but for a slash: a common mistake."""
        meant = self._sources.get(named[:-1] if named.endswith("/") else f"{named}/")
        if meant is not None:
            how = "with" if named.endswith("/") else "without"
            reason = f"its iss is written {how} a slash at the end; write the issuer so, too"
            self._tell(meant.issuer, "Refused a token", reason)

    async def _claims_of(self, token: str, source: _Source) -> tuple[dict[str, Any], float]:
        """Return the claims of a genuine token, and the seconds for which that holds.

        Raises:
            TokenRefused: it is not genuine.
            IssuerUnavailable: that cannot be said now.
        """
        if isinstance(source, _Asked):
            return await source.introspector.claims_of(token), ASKED_S
        if self._signed_tokens is None:
            self._signed_tokens = await trio.to_thread.run_sync(_import_signed_tokens)
        parsed = self._signed_tokens.parse(token)
        keys = await source.keys.keys_for(parsed)
        return self._signed_tokens.verify(parsed, keys), SIGNED_S

    def _tell(self, issuer: Issuer, what: str, reason: str) -> None:
        now_s, key = trio.current_time(), (issuer.issuer, reason)
        if now_s >= self._told.get(key, now_s):
            # Reasons are few, but those of failed requests have addresses in them.
            self._told = {one: at_s for one, at_s in self._told.items() if now_s < at_s}
            self._told[key] = now_s + QUIET_S
            log.warning("%s of %s: %s", what, issuer.issuer, reason)


class _Named(Struct):
    iss: str = ""


def _issuer_named_in(token: str) -> str | None:
    """Return the issuer that a signed token names, which proves nothing; None if it is no such."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    padding = "=" * (-len(parts[1]) % 4)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + padding), type=_Named).iss
    except (ValueError, binascii.Error, RecursionError):
        return None


def _import_signed_tokens() -> Any:
    # In a worker thread, and not at the start: it takes a tenth of a second.
    with IMPORTING:
        from router.oauth.resource_server import signed_tokens

    return signed_tokens
