"""Fetches and keeps the keys of one issuer.

They are where `jwks_uri` says, or where the issuer's metadata says (RFC 8414, OpenID Connect
Discovery 1.0), whose `issuer` has to be the same, letter by letter.

Invariants:

- However many requests need keys at the same time, they are fetched once.
- An unknown key id has them fetched anew at most once in `MISS_S`.
- Keys stay in use while they cannot be fetched, for `STALE_S` at most; only the request that has
  them fetched waits for that, if the keys that are there would do.
- However slow an issuer is, those who have waited for a fetch do not try another one.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
import trio

from router.config.security.oauth import is_safe_url
from router.oauth.resource_server.problems import IssuerUnavailable
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.security.oauth import Issuer
    from router.oauth.resource_server.signed_tokens import SignedToken, VerifyingKey
    from transports.outbound.fetched import Fetch, Fetched

log = logging.getLogger("mcp_router.oauth")

SHORTEST_S: Final = 60.0
LONGEST_S: Final = 24 * 3600.0
USUAL_S: Final = 3600.0
"""Keys are fetched again after the time that `Cache-Control: max-age` says, within bounds; after an
hour where it says nothing."""

MISS_S: Final = 30.0
"""The least time between two fetches because of unknown keys: anybody can make up key ids."""

RETRY_S: Final = 5.0
"""The least time between two tries while there are no keys at all."""

STALE_S: Final = 24 * 3600.0
"""Keys that are too old are used for so long while new ones cannot be had."""

_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})")


class IssuerKeys:
    """The keys of one issuer.

    Args:
        issuer: the issuer.
        fetch: makes requests.
        read_keys: the document of a set of keys -> its usable keys; raises `IssuerUnavailable`.
        find_keys: a token, keys -> those that may have signed it.
    """

    def __init__(
        self,
        issuer: Issuer,
        fetch: Fetch,
        read_keys: Callable[[bytes], tuple[VerifyingKey, ...]],
        find_keys: Callable[[SignedToken, Sequence[VerifyingKey]], Sequence[VerifyingKey]],
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._read_keys = read_keys
        self._find_keys = find_keys
        self._turn = trio.Lock()
        self._keys: tuple[VerifyingKey, ...] = ()
        self._fresh_until_s = 0.0
        self._tried_at_s: float | None = None
        self._problem = ""

    async def keys_for(self, token: SignedToken) -> Sequence[VerifyingKey]:
        """Return the keys of the issuer, which are fetched if they have to be.

        Raises:
            IssuerUnavailable: there are none, and none can be had now.
        """
        await trio.lowlevel.checkpoint()
        if not self._is_enough(token) and not self._is_under_way(token):
            async with self._turn:
                # Whoever had the turn before may have fetched them.
                if not self._is_enough(token) and self._may_try():
                    await self._refresh()
        if not self._keys:
            raise IssuerUnavailable(self._problem or "it has no keys")
        return self._keys

    def _is_enough(self, token: SignedToken) -> bool:
        is_fresh = trio.current_time() < self._fresh_until_s
        return is_fresh and bool(self._find_keys(token, self._keys))

    def _is_under_way(self, token: SignedToken) -> bool:
        """Return whether another request has them fetched, and old ones do until then."""
        is_usable = trio.current_time() < self._fresh_until_s + STALE_S
        return self._turn.locked() and is_usable and bool(self._find_keys(token, self._keys))

    def _may_try(self) -> bool:
        if self._tried_at_s is None:
            return True
        return trio.current_time() >= self._tried_at_s + (MISS_S if self._keys else RETRY_S)

    async def _refresh(self) -> None:
        await trio.lowlevel.checkpoint()
        before_s, self._tried_at_s = self._tried_at_s, trio.current_time()
        try:
            answer = await self._get(await self._jwks_uri())
            keys = self._read_keys(answer.body)
        except (FetchFailed, IssuerUnavailable) as exc:
            self._failed(str(exc))
            return
        except trio.Cancelled:
            # The client has left. While there are no keys, others that wait for them try next.
            if not self._keys:
                self._tried_at_s = before_s
            raise
        if self._problem:
            log.info("The keys of %s can be had again", self._issuer.issuer)
        self._keys, self._problem = keys, ""
        self._tried_at_s = trio.current_time()
        self._fresh_until_s = self._tried_at_s + _age_s(answer)

    def _failed(self, problem: str) -> None:
        self._tried_at_s = trio.current_time()
        if problem != self._problem:
            log.warning("The keys of %s cannot be had: %s", self._issuer.issuer, problem)
        self._problem = problem
        if trio.current_time() >= self._fresh_until_s + STALE_S:
            self._keys = ()

    # --- Requests ----------------------------------------------------------------------------

    async def _jwks_uri(self) -> str:
        """Return where the keys are."""
        await trio.lowlevel.checkpoint()
        if self._issuer.jwks_uri is not None:
            return self._issuer.jwks_uri
        problem = "it has no metadata"
        for url in metadata_urls(self._issuer.issuer):
            try:
                return self._jwks_uri_in((await self._get(url)).body)
            except IssuerUnavailable as exc:
                problem = exc.reason
        raise IssuerUnavailable(problem)

    def _jwks_uri_in(self, metadata: bytes) -> str:
        document = _object_of(metadata)
        # RFC 8414 section 3.3: else it is the document of somebody else.
        if document.get("issuer") != self._issuer.issuer:
            raise IssuerUnavailable("its metadata is that of another issuer")
        uri = document.get("jwks_uri")
        if not isinstance(uri, str) or not is_safe_url(uri.partition("?")[0]):
            raise IssuerUnavailable("its metadata has no jwks_uri that begins with https://")
        return uri

    async def _get(self, url: str) -> Fetched:
        # What `config.json` names may be anywhere; what a document names may be there as well, or
        # at a public address.
        named = (self._issuer.issuer, self._issuer.jwks_uri or self._issuer.issuer)
        allow_private = urlsplit(url).netloc in [urlsplit(one).netloc for one in named]
        headers = {"accept": "application/json"}
        answer = await self._fetch("GET", url, headers=headers, allow_private=allow_private)
        if answer.status != 200:
            raise IssuerUnavailable(f"{url} answers {answer.status}")
        return answer


def metadata_urls(issuer: str) -> list[str]:
    """Return where the metadata of an issuer may be (MCP 2025-11-25, Authorization).

    RFC 8414 section 3.1 has the well-known part in front of the issuer's path, and OpenID Connect
    Discovery 1.0 section 4 behind it.
    """
    parts = urlsplit(issuer)
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = [f"{base}/.well-known/oauth-authorization-server{path}"]
    found.append(f"{base}/.well-known/openid-configuration{path}")
    if path:
        found.append(f"{base}{path}/.well-known/openid-configuration")
    return found


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise IssuerUnavailable("its metadata is no JSON object")
    return cast("dict[str, Any]", value)


def _age_s(answer: Fetched) -> float:
    told = _MAX_AGE.search(answer.headers.get("cache-control", "").lower())
    return USUAL_S if told is None else min(max(float(told[1]), SHORTEST_S), LONGEST_S)
