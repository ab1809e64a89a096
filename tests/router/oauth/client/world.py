"""A remote server with its authorization server, for logins in memory.

`World.fetch` answers as both. What it does can be changed by each test: the documents are plain
dictionaries, and `token_answers` go before the usual ones.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import trio

from router.messages.instances.instance_spec import InstanceSpec
from router.oauth.client.logins import Logins
from transports.outbound.fetched import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from router.messages.instances.oauth_login import OAuthLogin

URL = "https://mcp.test/mcp"
ISSUER = "https://login.test"
CALLBACK = "http://127.0.0.1:8000/oauth/callback"
CHALLENGE = (
    'Bearer resource_metadata="https://mcp.test/.well-known/oauth-protected-resource/mcp", '
    'scope="read"'
)

RESOURCE_METADATA = "https://mcp.test/.well-known/oauth-protected-resource/mcp"
SERVER_METADATA = f"{ISSUER}/.well-known/oauth-authorization-server"
TOKEN = f"{ISSUER}/token"
REGISTER = f"{ISSUER}/register"
DEVICE = f"{ISSUER}/device"
REVOKE = f"{ISSUER}/revoke"

Answer = tuple[int, Any]


class Request(dict[str, str]):
    """A request that came: the fields of its form, with its URL and headers."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> None:
        is_form = "form" in headers.get("content-type", "")
        super().__init__(parse_qsl(content.decode(), keep_blank_values=True) if is_form else [])
        self.method, self.url, self.headers, self.content = method, url, headers, content


class World:
    """Both servers. Attributes are there to be changed."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.requests: list[Request] = []
        self.private: dict[str, bool] = {}
        self.documents: dict[str, Any] = {
            RESOURCE_METADATA: {
                "resource": URL,
                "authorization_servers": [ISSUER],
                "scopes_supported": ["read", "write"],
            },
            SERVER_METADATA: {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": TOKEN,
                "registration_endpoint": REGISTER,
                "revocation_endpoint": REVOKE,
                "device_authorization_endpoint": DEVICE,
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    *("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
                ],
                "authorization_response_iss_parameter_supported": True,
            },
        }
        self.registration: Answer = (201, {"client_id": "router-1"})
        self.device: Answer = (
            200,
            {
                "device_code": "device-secret",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{ISSUER}/device-page",
                "expires_in": 600,
                "interval": 5,
            },
        )
        self.challenge = CHALLENGE
        self.token_answers: list[Answer | None] = []
        self.token_extras: dict[str, Any] = {"expires_in": 3600}
        self.codes: dict[str, str] = {}
        self.refresh_tokens: set[str] = set()
        self.before_token: Callable[[], Any] | None = None
        self._numbers = itertools.count(1)

    # --- The network ---

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
        await trio.lowlevel.checkpoint()
        request = Request(method, url, headers, content)
        self.requests.append(request)
        self.private[url] = allow_private
        status, value = await self._answer(request)
        said = {"www-authenticate": self.challenge} if url == URL else {}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return Fetched(status, said, body)

    async def _answer(self, request: Request) -> Answer:
        if request.url in self.documents:
            value = self.documents[request.url]
            return value if isinstance(value, tuple) else (200, value)
        if request.url == URL:
            return 401, {}
        if request.url == REGISTER:
            return self.registration
        if request.url == DEVICE:
            return self.device
        if request.url == REVOKE:
            return 200, {}
        if request.url == TOKEN:
            if self.before_token is not None:
                await self.before_token()
            answer = self.token_answers.pop(0) if self.token_answers else None
            return self._token(request) if answer is None else answer
        return 404, {}

    def _token(self, request: Request) -> Answer:
        grant = request["grant_type"]
        if grant == "authorization_code":
            challenge = self.codes.pop(request["code"], None)
            digest = hashlib.sha256(request["code_verifier"].encode()).digest()
            if challenge != base64.urlsafe_b64encode(digest).decode().rstrip("="):
                return 400, {"error": "invalid_grant", "error_description": "wrong code"}
        if grant == "refresh_token":
            if request["refresh_token"] not in self.refresh_tokens:
                return 400, {"error": "invalid_grant"}
            self.refresh_tokens.remove(request["refresh_token"])
        number = next(self._numbers)
        tokens: dict[str, Any] = {"access_token": f"access-{number}", "token_type": "Bearer"}
        if grant in ("authorization_code", "refresh_token"):
            self.refresh_tokens.add(f"refresh-{number}")
            tokens["refresh_token"] = f"refresh-{number}"
        return 200, tokens | self.token_extras

    # --- The browser ---

    def approve(self, url: str, code: str = "code") -> dict[str, str]:
        """Return the query of the callback after a person has agreed at the page `url`."""
        asked = dict(parse_qsl(urlsplit(url).query))
        self.codes[code] = asked["code_challenge"]
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    def sent_to(self, url: str) -> list[Request]:
        """Return the requests that came for a URL."""
        return [request for request in self.requests if request.url == url]

    # --- The router ---

    def logins(self, folder: Path, *specs: InstanceSpec, **settings: Any) -> Logins:
        """Return the logins of a router on a folder."""
        settings.setdefault("now_s", lambda: self.now_s)
        logins = Logins(folder / "config.json", self.fetch, **settings)
        logins.take_specs(specs or [spec()])
        return logins


def spec(oauth: OAuthLogin | None = None, **keys: Any) -> InstanceSpec:
    """Return the instance `notes`."""
    usual: dict[str, Any] = {"name": "notes", "provider": "p", "type": "http", "url": URL}
    return InstanceSpec(**(usual | keys), oauth=oauth)


async def log_in(world: World, logins: Logins, person: str | None = None) -> None:
    """Log in to `notes` in a browser."""
    start = await logins.begin("notes", person, CALLBACK)
    await logins.finish(world.approve(start.url))
