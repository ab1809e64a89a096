"""An issuer without a socket: it answers `Fetch`, and signs ID tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import trio
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from router.config.security.browser_login import BrowserLogin
from router.config.security.oauth import Issuer
from transports.outbound.fetched import Fetched

if TYPE_CHECKING:
    from collections.abc import Mapping

URL: Final = "https://id.example.org"
CLIENT: Final = "router-client"


class FakeIssuer:
    """The issuer at `URL`.

    Attributes:
        asked: method, URL and `allow_private` of each request.
        tokens_sent: the forms and headers of the requests for tokens.
        metadata: what it says of itself.
        claims: replace those of its ID tokens; None takes one away.
        answer: the answer for tokens in place of tokens; None for tokens.
        scope: the scopes that it grants; None: it does not say.
        configured_keys: where `config.json` says that its keys are.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bool]] = []
        self.tokens_sent: list[tuple[dict[str, str], Mapping[str, str]]] = []
        self.claims: dict[str, Any] = {}
        self.answer: tuple[int, Any] | None = None
        self.scope: str | None = None
        self.key = ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256"})
        self.signs_with = self.key
        self.metadata: dict[str, Any] = {
            "issuer": URL,
            "authorization_endpoint": f"{URL}/authorize",
            "token_endpoint": f"{URL}/token",
            "jwks_uri": f"{URL}/keys",
        }
        self.configured_keys = ""
        self._codes: dict[str, dict[str, str]] = {}

    @staticmethod
    def configured(**more: Any) -> Issuer:
        """Return its entry in `config.json`."""
        given: dict[str, Any] = {
            "permissions": {"scope:mcp": ("call", "read"), "groups:ops": ("admin",)},
            "login": BrowserLogin(CLIENT),
        }
        return Issuer(URL, "https://router.example.org/mcp", **given | more)

    def log_in(self, location: str) -> dict[str, str]:
        """Let a person in at an authorization URL; return the query for the way back."""
        asked = dict(parse_qsl(urlsplit(location).query))
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": URL}

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        allow_private: bool,
        limit_bytes: int = 0,
        timeout_s: float = 0,
    ) -> Fetched:
        await trio.lowlevel.checkpoint()
        self.asked.append((method, url, allow_private))
        if url.endswith("/.well-known/openid-configuration"):
            return _answer(200, self.metadata)
        if url in (self.metadata["jwks_uri"], self.configured_keys):
            return _answer(200, KeySet([self.key]).as_dict(private=False))
        assert url == self.metadata["token_endpoint"]
        form = dict(parse_qsl(content.decode()))
        self.tokens_sent.append((form, headers or {}))
        return _answer(*(self.answer or self._tokens(form)))

    def _tokens(self, form: dict[str, str]) -> tuple[int, Any]:
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant", "error_description": "no such\ncode"}
        assert asked["redirect_uri"] == form["redirect_uri"]
        tokens = {"access_token": "secret-access-token", "token_type": "Bearer"}
        granted = {} if self.scope is None else {"scope": self.scope}
        return 200, {**tokens, **granted, "id_token": self.id_token(asked["nonce"])}

    def id_token(self, nonce: str) -> str:
        now_s = int(time.time())
        claims: dict[str, Any] = {
            "iss": URL,
            "sub": "alice",
            "aud": CLIENT,
            "exp": now_s + 300,
            "iat": now_s,
            "nonce": nonce,
        }
        claims = {
            name: value for name, value in (claims | self.claims).items() if value is not None
        }
        return jwt.encode({"alg": "ES256", "kid": "one"}, claims, self.signs_with)


def _answer(status: int, body: Any) -> Fetched:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Fetched(status, {"content-type": "application/json"}, data)
