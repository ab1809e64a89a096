"""Asks an issuer for all that a login takes: its metadata, tokens for a code, and its keys.

Invariants: redirects are not followed; a host that is not public is asked only if `config.json`
names it, since the documents of an issuer may name others.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import msgspec
import trio
from msgspec import Struct

from router.config.security.oauth import SCOPE_MARK, is_safe_url
from router.logs.record_text import one_line
from router.oauth.browser.refused import LoginRefused
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config.security.browser_login import BrowserLogin
    from router.config.security.oauth import Issuer
    from router.oauth.browser.pending_logins import PendingLogin
    from transports.outbound.fetched import Fetch, Fetched

METADATA_PATH: Final = "/.well-known/openid-configuration"
"""Behind the issuer's identifier (OpenID Connect Discovery, section 4)."""

METADATA_S: Final = 300.0
"""So long metadata is taken from memory: anybody may begin a login."""

MOST_REQUESTS: Final = 16
"""Requests to issuers at the same time; a login that takes one more is refused."""

_ERROR_LIMIT: Final = 200
"""Characters of what an issuer says of an error."""

_FORM: Final = "application/x-www-form-urlencoded"

_NOT_READ: Final = (ValueError, RecursionError)
"""The errors of msgspec for JSON that does not fit: bytes that are no UTF-8, and deep nesting."""

T = TypeVar("T")


class Metadata(Struct, frozen=True):
    """The part that a login needs of an issuer's metadata (OpenID Connect Discovery, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(Struct, frozen=True):
    """The issuer's answer to a code, as far as a login needs it.

    Attributes:
        id_token: says who has logged in.
        scope: the scopes that were granted; None: those that were asked for (RFC 6749 section 5.1).
    """

    id_token: str
    scope: str | None = None

    def __repr__(self) -> str:
        return "Tokens(...)"


class _Error(Struct, frozen=True):
    error: str = ""
    error_description: str = ""


class IssuerClient:
    """Asks issuers.

    Args:
        fetch: makes the requests.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._requests = trio.CapacityLimiter(MOST_REQUESTS)
        self._metadata: dict[str, tuple[float, Metadata]] = {}

    async def metadata(self, issuer: Issuer) -> Metadata:
        """Return the metadata of an issuer.

        Raises:
            LoginRefused: it cannot be had, or is not what it should be.
        """
        read_s, known = self._metadata.get(issuer.issuer, (0.0, None))
        if known is not None and trio.current_time() < read_s + METADATA_S:
            await trio.lowlevel.checkpoint()
            return known
        url = f"{issuer.issuer.rstrip('/')}{METADATA_PATH}"
        found = _decode(await self._ask(issuer, "GET", url), Metadata, "metadata")
        if found.issuer != issuer.issuer:
            raise LoginRefused(502, "The issuer's metadata names another issuer")
        endpoints = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        if not all(_is_endpoint(url) for url in endpoints if url):
            raise LoginRefused(502, "The issuer's metadata has a URL that is not https")
        self._metadata = {**self._metadata, issuer.issuer: (trio.current_time(), found)}
        return found

    async def tokens(self, login: PendingLogin, metadata: Metadata, code: str) -> Tokens:
        """Return the tokens for a code.

        Raises:
            LoginRefused: the issuer gives none.
        """
        client = login.client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": login.redirect_uri,
            "client_id": client.client_id,
            "code_verifier": login.verifier,
        }
        headers = {"content-type": _FORM, "accept": "application/json"}
        if client.client_secret and _is_basic(metadata):
            headers["authorization"] = _basic(client)
        elif client.client_secret:
            form["client_secret"] = client.client_secret
        answer = await self._ask(
            login.issuer, "POST", metadata.token_endpoint, headers, urlencode(form).encode()
        )
        return _decode(answer, Tokens, "tokens")

    async def keys(self, issuer: Issuer, metadata: Metadata) -> bytes:
        """Return the set of keys of an issuer.

        Raises:
            LoginRefused: they cannot be had.
        """
        url = issuer.jwks_uri or metadata.jwks_uri
        if not url:
            raise LoginRefused(502, "The issuer's metadata has no jwks_uri")
        return (await self._ask(issuer, "GET", url)).body

    async def _ask(
        self,
        issuer: Issuer,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Fetched:
        # What `config.json` names may be a private address.
        named = (issuer.issuer, issuer.jwks_uri or issuer.issuer)
        is_named = urlsplit(url).hostname in [urlsplit(one).hostname for one in named]
        try:
            self._requests.acquire_nowait()
        except trio.WouldBlock:
            raise LoginRefused(503, "Too many people log in at this moment") from None
        try:
            answer = await self._fetch(
                method,
                url,
                headers=headers or {"accept": "application/json"},
                content=content,
                allow_private=is_named,
            )
        except FetchFailed as failed:
            raise LoginRefused(502, f"The issuer cannot be asked: {failed.sentence}") from None
        finally:
            self._requests.release()
        if answer.status != 200:
            raise LoginRefused(502, f"The issuer answered with {answer.status}{_why(answer)}")
        return answer


def authorization_url(login: PendingLogin, metadata: Metadata, state: str) -> str:
    """Return the URL at which a person logs in (OpenID Connect Core, section 3.1.2.1)."""
    challenge = urlsafe_b64encode(hashlib.sha256(login.verifier.encode()).digest()).rstrip(b"=")
    query = {
        "response_type": "code",
        "client_id": login.client.client_id,
        "redirect_uri": login.redirect_uri,
        "scope": scope_of(login),
        "state": state,
        "nonce": login.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{separator}{urlencode(query, quote_via=quote)}"


def scope_of(login: PendingLogin) -> str:
    """Return the scopes that a login asks for, with spaces between them."""
    asked = login.client.scopes
    if asked is None:
        marked = (key for key in login.issuer.permissions if key.startswith(SCOPE_MARK))
        asked = tuple(key.removeprefix(SCOPE_MARK) for key in marked)
    return " ".join(dict.fromkeys(("openid", *asked)))


def bounded(text: str) -> str:
    """Return untrusted text as a part of a sentence: one line that is not long."""
    return one_line(text[:_ERROR_LIMIT])


def _is_endpoint(url: str) -> bool:
    """Return whether a URL of the metadata may be used; an endpoint may have a query."""
    path, _, query = url.partition("?")
    is_plain = query.isascii() and query.isprintable() and " " not in query and "#" not in query
    return is_safe_url(path) and is_plain


def _is_basic(metadata: Metadata) -> bool:
    methods = metadata.token_endpoint_auth_methods_supported
    return "client_secret_basic" in methods or "client_secret_post" not in methods


def _basic(client: BrowserLogin) -> str:
    # Both are form-encoded first (RFC 6749 section 2.3.1).
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _decode(answer: Fetched, kind: type[T], name: str) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except _NOT_READ:
        problem = f"The issuer's answer with its {name} cannot be read"
        raise LoginRefused(502, problem) from None


def _why(answer: Fetched) -> str:
    """Return the words of an issuer for an error (RFC 6749 section 5.2); empty without any."""
    try:
        said = msgspec.json.decode(answer.body, type=_Error)
    except _NOT_READ:
        return ""
    words = [bounded(text) for text in (said.error, said.error_description) if text]
    return f" ({': '.join(words)})" if words else ""
