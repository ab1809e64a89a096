"""An authorization server with real keys, whose network is a function."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from router.config.security.oauth import Issuer
from router.messages.commands import Principal
from router.oauth.resource_server.resource_server import ResourceServer
from transports.outbound.fetched import Fetched, FetchFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import Key

    from router.access.issued_tokens import Verdict

ISSUER: Final = "https://idp.example.org/realms/main"
AUDIENCE: Final = "https://mcp.example.org/mcp"
JWKS_URI: Final = "https://idp.example.org/keys"
METADATA_URL: Final = "https://idp.example.org/.well-known/oauth-authorization-server/realms/main"
ASKED_URL: Final = "https://idp.example.org/introspect"
TABLE: Final[dict[str, Any]] = {
    "scope:mcp.call": ("call",),
    "scope:mcp.all": ("call", "read", "admin"),
    "groups:ops": ("call", "read"),
}


def issuer(**given: Any) -> Issuer:
    """Return the settings of an issuer, with these keys in place of the usual ones."""
    known: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "permissions": TABLE}
    return Issuer(**(known | given))


_KEYS: Final[dict[tuple[str, str], Any]] = {}


def ec_key(kid: str = "k1", curve: str = "P-256") -> ECKey:
    """Return a key of an issuer; the same for the same id."""
    if (kid, curve) not in _KEYS:
        _KEYS[kid, curve] = ECKey.generate_key(curve, {"kid": kid})
    return _KEYS[kid, curve]


def rsa_key(kid: str = "rsa") -> RSAKey:
    """Return a key of an issuer; the same for the same id."""
    if (kid, "RSA") not in _KEYS:
        _KEYS[kid, "RSA"] = RSAKey.generate_key(2048, {"kid": kid})
    return _KEYS[kid, "RSA"]


def claims(**given: Any) -> dict[str, Any]:
    """Return the claims of a good token; a None removes one."""
    now = int(time.time())
    known = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "mira",
        "exp": now + 600,
        "iat": now,
        "scope": "openid mcp.call",
    }
    return {name: value for name, value in (known | given).items() if value is not None}


def signed(of: Mapping[str, Any], key: Key | None = None, alg: str = "ES256", **header: Any) -> str:
    """Return a token with these claims; a None removes a parameter of its header."""
    key = key or ec_key()
    known = {"alg": alg, "typ": "at+jwt", "kid": key.kid, **header}
    head = {name: value for name, value in known.items() if value is not None}
    return jwt.encode(head, dict(of), key, algorithms=[alg], default_type=None)


def token(**given: Any) -> str:
    """Return a good token, with these claims in place of the usual ones."""
    return signed(claims(**given))


def key_set(*keys: Key) -> bytes:
    """Return the document of a set of public keys."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


@attrs.define
class Network:
    """Answers requests by their URLs; a URL without an answer is 404.

    Attributes:
        answers: URL -> body, status, or the error to raise.
        asked: the URLs of all requests.
        private: those that were allowed to go to private addresses.
        forms: the bodies of all requests.
        headers: of all answers.
        delay_s: how long each answer takes.
    """

    answers: dict[str, bytes | int | Exception] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    private: list[str] = attrs.field(factory=list)
    sent: list[tuple[Mapping[str, str], bytes]] = attrs.field(factory=list)
    headers: dict[str, str] = attrs.field(factory=dict)
    delay_s: float = 0.01

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        content: bytes = b"",
        allow_private: bool,
        limit_bytes: int = 1 << 20,
        timeout_s: float = 10.0,
    ) -> Fetched:
        self.asked.append(url)
        self.sent.append((headers, content))
        if allow_private:
            self.private.append(url)
        if self.delay_s > timeout_s:
            await trio.sleep(timeout_s)
            raise FetchFailed(f"{method} took longer than {timeout_s:g} s")
        await trio.sleep(self.delay_s)
        answer = self.answers.get(url, 404)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return Fetched(answer, self.headers, b"")
        if len(answer) > limit_bytes:
            raise FetchFailed("The answer is too large")
        return Fetched(200, self.headers, answer)


def network(*keys: Key, **metadata: Any) -> Network:
    """Return a network with an issuer that has these keys."""
    document = {"issuer": ISSUER, "jwks_uri": JWKS_URI, **metadata}
    return Network(
        {METADATA_URL: json.dumps(document).encode(), JWKS_URI: key_set(*(keys or (ec_key(),)))}
    )


MIRA = Principal(f"{ISSUER} mira", frozenset({"call"}))


def server(net: Network, *issuers: Issuer) -> ResourceServer:
    """Return what knows the tokens of these issuers, or of the usual one."""
    # The wall clock goes as fast as Trio's, which jumps.
    began = time.time() - trio.current_time()
    made = ResourceServer(net.fetch, lambda: began + trio.current_time())
    made.apply(issuers or (issuer(),))
    return made


async def verdict_of(made: ResourceServer, sent: str) -> Verdict:
    """Return the verdict on a token, which is checked if it has to be."""
    if made.needs_check(sent):
        await made.check(sent)
    return made.verdict(sent)


async def problem_of(sent: str, net: Network | None = None, *issuers: Issuer) -> str:
    """Return the problem of a token; empty if it lets in."""
    return (await verdict_of(server(net or network(), *issuers), sent)).problem
