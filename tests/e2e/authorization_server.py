"""An authorization server on loopback that signs access tokens with a real key.

It lets everybody in as `mira`, without a page: its authorization endpoint redirects at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from tests.e2e.threaded_server import serving_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

AUDIENCE: Final = "https://mcp.example.org/mcp"


class AuthorizationServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        key: signs the tokens.
        asked: the paths of all requests.
        audience: of the tokens that clients get here.
        resources: the `resource` parameters of all authorization requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = ECKey.generate_key("P-256", {"kid": "k1"})
        self.asked: list[str] = []
        self.audience = AUDIENCE
        self.resources: list[str] = []
        self.challenges: dict[str, tuple[str, str]] = {}  # code -> PKCE's challenge, scope

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def token(self, **given: Any) -> str:
        """Return a token of mira that is good for ten minutes, with these claims; None: without."""
        now = int(time.time())
        known = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "mira",
            "exp": now + 600,
            "iat": now,
            "scope": "mcp.call",
        }
        claims = {name: value for name, value in (known | given).items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key, algorithms=["ES256"])

    def configured(self, **given: Any) -> dict[str, Any]:
        """Return an entry of `security.oauth.issuers` for this server."""
        table = {"scope:mcp.call": ["call"], "scope:mcp.all": ["call", "read", "admin"]}
        known = {"issuer": self.issuer, "audience": AUDIENCE, "permissions": table}
        return known | given


class _Handler(BaseHTTPRequestHandler):
    server: AuthorizationServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append(parts.path)
        issuer = self.server.issuer
        if parts.path == "/.well-known/oauth-authorization-server":
            self._answer(200, {
                "issuer": issuer, "jwks_uri": f"{issuer}/keys",
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "registration_endpoint": f"{issuer}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            })  # fmt: skip
        elif parts.path == "/keys":
            self._answer(200, {"keys": [self.server.key.as_dict(private=False)]})
        elif parts.path == "/authorize":
            self._authorize({name: values[0] for name, values in parse_qs(parts.query).items()})
        else:
            self._answer(404, {})

    def _authorize(self, query: dict[str, str]) -> None:
        code = f"code-{len(self.server.challenges)}"
        self.server.challenges[code] = query["code_challenge"], query.get("scope", "")
        self.server.resources.append(query["resource"])
        back = urlencode({"code": code, "state": query["state"], "iss": self.server.issuer})
        self._answer(302, {}, ("Location", f"{query['redirect_uri']}?{back}"))

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/register":
            self._answer(201, {**json.loads(body), "client_id": "a-client"})
            return
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        challenge, scope = self.server.challenges.pop(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        token = self.server.token(scope=scope)
        granted = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
        self._answer(200, {**granted, "scope": scope})

    def _answer(self, status: int, value: Any, *headers: tuple[str, str]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (("Content-Type", "application/json"), *headers):
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Write nothing."""


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    """Serve in a thread."""
    with serving_in_thread(AuthorizationServer()) as server:
        yield server
