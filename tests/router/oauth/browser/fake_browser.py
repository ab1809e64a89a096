"""A browser without a socket: it keeps cookies, and says of its requests what browsers say."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import Answer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.commands import Principal
    from router.oauth.browser.browser_logins import BrowserLogins
    from tests.router.oauth.browser.fake_issuer import FakeIssuer

HOST = "127.0.0.1:8001"


async def no_body() -> bytes:
    raise AssertionError


class FakeBrowser:
    """One browser.

    Attributes:
        cookies: name -> value.
        attributes: name of a cookie -> its attributes, as they were set last.
    """

    def __init__(self, logins: BrowserLogins, host: str = HOST, scheme: str = "http") -> None:
        self._logins = logins
        self._host = host
        self.origin = f"{scheme}://{host}"
        self.cookies: dict[str, str] = {}
        self.attributes: dict[str, dict[str, Any]] = {}

    def headers(self, **more: str | None) -> dict[str, str]:
        """Return the headers of a request from a page of the router; None takes one away."""
        given = {
            "host": self._host,
            "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "sec-fetch-site": "same-origin",
        }
        changed = given | {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in changed.items() if value}

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | str = "", **headers: str | None
    ) -> Answer:
        """Ask for a route of logins; keep the cookies of the answer."""
        text = query if isinstance(query, str) else urlencode(query)
        request = HttpRequest(method, path, self.headers(**headers), no_body, query=text)
        answer = await self._logins.routes.exact[path](request)
        for name, value in answer.headers:
            if name == b"set-cookie":
                self._keep(value.decode())
        return answer

    def _keep(self, text: str) -> None:
        for name, morsel in SimpleCookie(text).items():
            self.attributes[name] = {key: value for key, value in morsel.items() if value != ""}
            self.cookies.pop(name, None)
            if morsel["max-age"] != "0":
                self.cookies[name] = morsel.value

    async def begin(self, query: Mapping[str, str] | str = "") -> str:
        """Begin a login; return where the browser is sent."""
        answer = await self.ask("GET", "/login", query, sec_fetch_site="none")
        assert answer.status == 302, answer.body
        return dict(answer.headers)[b"location"].decode()

    async def come_back(self, query: Mapping[str, str] | str) -> Answer:
        """Come back from the issuer, which is another site."""
        return await self.ask("GET", "/login/callback", query, sec_fetch_site="cross-site")

    async def log_in(self, issuer: FakeIssuer) -> Answer:
        """Log in."""
        return await self.come_back(issuer.log_in(await self.begin()))

    def signed_in(self) -> str | None:
        """Return the name of who is logged in, as other pages of the router are told."""
        return self._logins.signed_in(HttpRequest("GET", "/", self.headers(), no_body))

    def principal(self, method: str = "GET", **headers: str | None) -> Principal | int | None:
        """Return the principal that this browser is for a request; the status of a refusal."""
        try:
            return self._logins.admit(method, self.headers(**headers))
        except HttpRefusal as refused:
            return refused.status


def header(answer: Answer, name: bytes) -> str:
    return dict(answer.headers)[name].decode()
