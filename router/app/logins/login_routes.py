"""The paths of logins that need no token: the callback, the page of a person's login, the metadata.

Invariants:

- What a query holds is shown escaped, and never logged: a code could be in it.
- The page of a person's login changes nothing when it is opened. It goes on after a POST that comes
  from that very page: same origin, and with the cookie that the page has set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from router.app.logins.attempts import ATTEMPT_S
from router.app.logins.instance_logins import query_of
from router.app.logins.login_pages import PAGE_HEADERS, confirm_page, done_page, failed_page
from router.app.logins.redirect_uris import CALLBACK_PATH, LOGIN_PATH, METADATA_PATH
from router.messages.errors import HttpRefusal, RpcError
from router.oauth.client.login_results import LoginFailed
from transports.listen.serving.admitting.open_routes import OpenRoutes
from transports.listen.serving.exchange import NOSNIFF, Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from router.app.logins.attempts import Attempt
    from router.app.logins.instance_logins import InstanceLogins
    from transports.listen.serving.admitting.open_routes import Route
    from transports.listen.serving.exchange import HttpRequest

    SignedIn: TypeAlias = Callable[[HttpRequest], str | None]

PAGE_COOKIE: Final = "mcp_router_login_page"
BROWSER_COOKIE: Final = "mcp_router_login"

_NO_LINK: Final = "This link is unknown, too old, or used already; ask for another one"
_SENT_FROM_ELSEWHERE: Final = "This was not sent from the page of the router; open its link again"

# The form's own POST has to say where it comes from (Fetch standard, Origin header), which it
# would not with "no-referrer".
_REFERRER: Final = (b"referrer-policy", b"same-origin")


def no_sign_in(_person: str) -> SignedIn | None:
    """Return None: nobody can sign in with a browser."""
    return None


class LoginRoutes(Struct, frozen=True):
    """The open routes of logins.

    Attributes:
        logins: the logins.
        sign_in_of: the name of a principal -> what tells who is signed in by the browser of a
            request, or None if nobody is; None for a principal that cannot sign in with a browser.
    """

    logins: InstanceLogins
    sign_in_of: Callable[[str], SignedIn | None] = no_sign_in

    def routes(self) -> OpenRoutes:
        """Return the routes by their paths."""
        exact: dict[str, Route] = {CALLBACK_PATH: self.callback, METADATA_PATH: self.metadata}
        return OpenRoutes(exact=exact, below={LOGIN_PATH: self.login})

    async def callback(self, request: HttpRequest) -> Answer:
        """Answer a browser that comes back from an authorization server."""
        _check_method(request, "GET")
        await trio.lowlevel.checkpoint()
        try:
            query = query_of(request.query)
            browser_key = _cookie(request, BROWSER_COOKIE)
            name = await self.logins.finish_in_browser(query, browser_key, request.address)
        except LoginFailed as error:
            return _page(400, failed_page(error.reason))
        except RpcError:
            return _page(400, failed_page("This is no answer of an authorization server"))
        gone = self._cookie_to_set(BROWSER_COOKIE, "", "Lax", max_age_s=0)
        return _page(200, done_page(name), gone)

    async def login(self, request: HttpRequest) -> Answer:
        """Show the page of a person's login, or go on from it."""
        _check_method(request, "GET", "POST")
        await trio.lowlevel.checkpoint()
        ticket = request.path.removeprefix(LOGIN_PATH).removeprefix("/")
        attempt = self.logins.attempts.by_ticket(ticket)
        if attempt is None or attempt.person is None:
            return _page(404, failed_page(_NO_LINK))
        if request.method == "POST":
            return await self._go_on(request, attempt, ticket)
        shown = self._cookie_to_set(PAGE_COOKIE, attempt.page_key, "Strict")
        return _page(200, confirm_page(attempt.instance, attempt.person), _REFERRER, shown)

    async def _go_on(self, request: HttpRequest, attempt: Attempt, ticket: str) -> Answer:
        await trio.lowlevel.checkpoint()
        problem = self._problem_with(request, attempt)
        if problem:
            return _page(403, failed_page(problem))
        if self.logins.attempts.redeem(ticket, _cookie(request, PAGE_COOKIE)) is None:
            return _page(403, failed_page(_SENT_FROM_ELSEWHERE))
        try:
            url = await self.logins.begin_confirmed(attempt)
        except LoginFailed as error:
            return _page(502, failed_page(error.reason))
        except RpcError as error:  # the listener has moved to where no browser reaches it
            return _page(502, failed_page(error.message))
        # Lax: the authorization server sends the browser back from its own site.
        bound = self._cookie_to_set(BROWSER_COOKIE, attempt.browser_key, "Lax")
        return Answer(303, (NOSNIFF, (b"location", url.encode("ascii")), bound))

    def _problem_with(self, request: HttpRequest, attempt: Attempt) -> str:
        """Return the reason why a POST may not go on; empty if it may."""
        if not self._is_from_own_page(request):
            return _SENT_FROM_ELSEWHERE
        person = attempt.person or ""
        signed_in = self.sign_in_of(person)
        who = person if signed_in is None else signed_in(request)
        if who is None:
            return f"Sign in to this router as {person} first, and open the link again"
        if who != person:
            return f"This link is for {person}, and you are signed in as {who}"
        return ""

    def _is_from_own_page(self, request: HttpRequest) -> bool:
        origin = urlsplit(request.headers.get("origin", "")).netloc.lower()
        public = urlsplit(self.logins.public_url()).netloc.lower()
        return bool(origin) and origin in (request.headers.get("host", "").lower(), public)

    def _cookie_to_set(
        self, name: str, value: str, same_site: str, *, max_age_s: float = ATTEMPT_S
    ) -> tuple[bytes, bytes]:
        secure = "; Secure" if self.logins.public_url().startswith("https://") else ""
        rules = f"Path=/; Max-Age={max_age_s:.0f}; HttpOnly; SameSite={same_site}{secure}"
        return b"set-cookie", f"{name}={value}; {rules}".encode("ascii")

    async def metadata(self, request: HttpRequest) -> Answer:
        """Answer with the document by which authorization servers know this router."""
        _check_method(request, "GET")
        document = (await self.logins.lazy.loaded()).client_metadata_document()
        if document is None:
            raise HttpRefusal(404, "There is none: server.public_url is not set, or no https URL")
        kept = (b"cache-control", b"max-age=300")
        return Answer(200, ((b"content-type", b"application/json"), NOSNIFF, kept), document)


def _page(status: int, body: bytes, *more: tuple[bytes, bytes]) -> Answer:
    return Answer(status, (*PAGE_HEADERS, *more), body)


def _check_method(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        raise HttpRefusal(405, "Method not allowed", (("Allow", ", ".join(methods)),))


def _cookie(request: HttpRequest, name: str) -> str:
    """Return the value of a cookie (RFC 6265 section 4.2.1); empty if there is none."""
    for pair in request.headers.get("cookie", "").replace(",", ";").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""
