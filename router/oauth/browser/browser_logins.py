"""Logs browsers in at an issuer, for the pages of the REST API, and admits them by a cookie.

1. `GET /login` sends the browser to the issuer, with a state, a nonce and PKCE, and binds the login
   to the browser by a cookie.
2. `GET /login/callback` takes the issuer's answer, exchanges the code, verifies the ID token, and
   gives the browser a session.
3. Requests with that cookie are admitted, if they come from pages of this router.
4. `POST /logout` ends the session.

Invariant: the page's script never sees a token or the session's word.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
import trio

from router.logs.record_text import one_line
from router.messages.errors import HttpRefusal
from router.messages.observability.log_fields import by
from router.oauth.browser import pages
from router.oauth.browser.cookies import LOGIN, SESSION, read_cookie, write_cookie
from router.oauth.browser.issuer_client import (
    IssuerClient,
    authorization_url,
    bounded,
    scope_of,
)
from router.oauth.browser.pending_logins import LOGIN_S, PendingLogins
from router.oauth.browser.refused import LoginRefused
from router.oauth.browser.sessions import LONGEST_S, Sessions
from router.oauth.browser.site import check_own, is_own, is_own_path, site_of
from transports.listen.serving.admitting.open_routes import OpenRoutes
from transports.listen.serving.exchange import NOSNIFF, Answer, json_answer
from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from router.config.security.oauth import Issuer
    from router.messages.commands import Principal
    from router.oauth.browser.id_tokens import Person
    from router.oauth.browser.pending_logins import PendingLogin
    from router.oauth.browser.site import Site
    from transports.listen.serving.exchange import HttpRequest
    from transports.outbound.fetched import Fetch

log = logging.getLogger("mcp_router.login")

LOGIN_PATH: Final = "/login"
CALLBACK_PATH: Final = "/login/callback"
WHO_PATH: Final = "/login/who"
LOGOUT_PATH: Final = "/logout"
FIRST_PAGE: Final = "/docs"
"""The page after a login that names no other."""

_NAME_LIMIT: Final = 100
_NAME_CLAIMS: Final = ("preferred_username", "email", "name", "sub")
_TAKES_ONE: Final = "This address takes {} only"


class BrowserLogins:
    """The logins of browsers.

    Args:
        issuers: returns the issuers as they are configured now.
        public_url: returns `server.public_url`.
        check_site: checks `Host` and `Origin` of a request; raises `HttpRefusal`.
        fetch: makes requests to issuers.

    Attributes:
        routes: the routes of all this, for the listener of the REST API.
        check_site: checks `Host` and `Origin`.
    """

    def __init__(
        self,
        issuers: Callable[[], Sequence[Issuer]],
        public_url: Callable[[], str],
        check_site: Callable[[Mapping[str, str]], object],
        fetch: Fetch,
    ) -> None:
        self._issuers = issuers
        self._public_url = public_url
        self.check_site = check_site
        self._client = IssuerClient(fetch)
        self._pending = PendingLogins()
        self._sessions = Sessions(issuers)
        self.routes = OpenRoutes(
            exact={
                LOGIN_PATH: self._paged("GET", self._begin),
                CALLBACK_PATH: self._paged("GET", self._finish),
                WHO_PATH: self._who,
                LOGOUT_PATH: self._log_out,
            }
        )

    # --- Admission ---------------------------------------------------------------------------

    def admit(self, method: str, headers: Mapping[str, str]) -> Principal | None:
        """Return the principal of a request with the cookie of a session; None without one.

        Args:
            method: of HTTP; empty for a WebSocket.
            headers: of the request, names in lower case.

        Raises:
            HttpRefusal: 403, the request does not come from a page of this router.
        """
        if "cookie" not in headers:
            return None
        site = site_of(headers, self._public_url())
        session = self._sessions.find(read_cookie(headers, SESSION, is_secure=site.is_secure))
        if session is None:
            return None
        self.check_site(headers)
        check_own(method, headers, site)
        return session.principal

    def is_known(self, principal: Principal) -> bool:
        """Return whether exactly this principal has a session."""
        return self._sessions.is_known(principal)

    def signed_in(self, request: HttpRequest) -> str | None:
        """Return the name of the principal that a browser has logged in as; None without a login.

        It says nothing of the page that the request comes from.
        """
        site = self._site_of(request)
        session = self._sessions.find(
            read_cookie(request.headers, SESSION, is_secure=site.is_secure)
        )
        return None if session is None else session.principal.name

    # --- Routes ------------------------------------------------------------------------------

    def _paged(
        self, method: str, route: Callable[[HttpRequest, Site], Awaitable[Answer]]
    ) -> Callable[[HttpRequest], Awaitable[Answer]]:
        """Return the route with pages for people in place of its errors."""

        async def answer(request: HttpRequest) -> Answer:
            await trio.lowlevel.checkpoint()
            site = self._site_of(request)
            try:
                if request.method != method:
                    raise LoginRefused(405, _TAKES_ONE.format(method))
                return await route(request, site)
            except LoginRefused as refused:
                # Anybody can cause those that are no fault of the issuer, as often as they like.
                level = logging.INFO if refused.status >= 500 else logging.DEBUG
                log.log(level, "login refused: %s", refused.sentence)
                begin = f"{site.prefix}{LOGIN_PATH}"
                return pages.refused(refused.status, refused.sentence, begin)

        return answer

    async def _begin(self, request: HttpRequest, site: Site) -> Answer:
        query = dict(parse_qsl(request.query))
        issuers = self._with_login()
        if len(issuers) > 1 and "issuer" not in query:
            await trio.lowlevel.checkpoint()
            return pages.choice(_links(issuers, query, f"{site.prefix}{LOGIN_PATH}"))
        issuer = _chosen(issuers, query.get("issuer"))
        return_to = query.get("return_to", f"{site.prefix}{FIRST_PAGE}")
        if not is_own_path(return_to):
            raise LoginRefused(400, "return_to is not a path of this site")
        metadata = await self._client.metadata(issuer)
        state, word, login = self._pending.begin(issuer, site.url(CALLBACK_PATH), return_to)
        cookie = write_cookie(
            LOGIN, word, same_site="Lax", max_age_s=LOGIN_S, is_secure=site.is_secure
        )
        location = authorization_url(login, metadata, state).encode()
        return Answer(302, ((b"location", location), NOSNIFF, cookie))

    async def _finish(self, request: HttpRequest, site: Site) -> Answer:
        answer = parse_qsl(request.query)
        query = dict(answer)
        if len(query) != len(answer):
            raise LoginRefused(400, "The issuer's answer names something twice")
        word = read_cookie(request.headers, LOGIN, is_secure=site.is_secure)
        login = self._pending.take(query.get("state", ""), word)
        person = await self._person_of(login, query)
        principal = person.principal
        if not principal.permissions:
            problem = "The issuer let you in, but nothing that it says of you grants a permission "
            raise LoginRefused(403, problem + "here; see security.oauth.issuers in config.json")
        # A session that the browser has already is another's, or an older one: it ends.
        self._sessions.close(read_cookie(request.headers, SESSION, is_secure=site.is_secure))
        session = self._sessions.open(principal, login.issuer, _shown_name(person.claims))
        log.info("%s logged in with a browser", one_line(principal.name), extra=by(principal))
        cookies = (
            write_cookie(
                SESSION,
                session,
                same_site="Strict",
                max_age_s=int(LONGEST_S),
                is_secure=site.is_secure,
            ),
            _forget(LOGIN, "Lax", site),
        )
        return pages.moved_on(login.return_to, cookies)

    async def _person_of(self, login: PendingLogin, query: Mapping[str, str]) -> Person:
        """Return the person of whom an issuer's answer speaks.

        Raises:
            LoginRefused: it says nothing that can be trusted.
        """
        metadata = await self._client.metadata(login.issuer)
        said = query.get("iss")
        must_say = metadata.authorization_response_iss_parameter_supported
        if said != login.issuer.issuer and (said is not None or must_say):
            # RFC 9207 section 2.4: the answer is of another issuer, so the code is, too.
            raise LoginRefused(400, "The answer does not come from the issuer of this login")
        if "error" in query:
            words = (query["error"], query.get("error_description", ""))
            why = ": ".join(bounded(word) for word in words if word)
            raise LoginRefused(403, f"The issuer refused the login: {why}")
        if not query.get("code"):
            raise LoginRefused(400, "The issuer's answer has no code")
        tokens = await self._client.tokens(login, metadata, query["code"])
        keys = await self._client.keys(login.issuer, metadata)
        scope = scope_of(login) if tokens.scope is None else tokens.scope
        return await trio.to_thread.run_sync(_judge, tokens.id_token, keys, login, scope)

    async def _who(self, request: HttpRequest) -> Answer:
        """Answer with the name of who has logged in, for the page."""
        await trio.lowlevel.checkpoint()
        site = self._site_of(request)
        session = None
        if request.method == "GET" and is_own("GET", request.headers, site):
            word = read_cookie(request.headers, SESSION, is_secure=site.is_secure)
            session = self._sessions.find(word)
        about = {"name": None if session is None else session.shown_name}
        return json_answer(msgspec.json.encode(about))

    async def _log_out(self, request: HttpRequest) -> Answer:
        await trio.lowlevel.checkpoint()
        site = self._site_of(request)
        if request.method != "POST":
            raise HttpRefusal(405, _TAKES_ONE.format("POST"), (("Allow", "POST"),))
        check_own("POST", request.headers, site)
        word = read_cookie(request.headers, SESSION, is_secure=site.is_secure)
        session = self._sessions.close(word)
        if session is not None:
            principal = session.principal
            log.info("%s logged out", one_line(principal.name), extra=by(principal))
        return Answer(204, (NOSNIFF, _forget(SESSION, "Strict", site)))

    # --- Parts -------------------------------------------------------------------------------

    def _site_of(self, request: HttpRequest) -> Site:
        return site_of(request.headers, self._public_url(), request.root_path)

    def _with_login(self) -> list[Issuer]:
        return [issuer for issuer in self._issuers() if issuer.login is not None]


def _chosen(issuers: Sequence[Issuer], name: str | None) -> Issuer:
    """Return the issuer of this name, or the only one.

    Raises:
        LoginRefused: there is none.
    """
    found = [issuer for issuer in issuers if name in (None, issuer.issuer)]
    if not found:
        raise LoginRefused(404, "There is no login at this issuer")
    return found[0]


def _links(issuers: Sequence[Issuer], query: Mapping[str, str], path: str) -> dict[str, str]:
    return {
        issuer.issuer: f"{path}?{urlencode({**query, 'issuer': issuer.issuer}, quote_via=quote)}"
        for issuer in issuers
    }


def _shown_name(claims: Mapping[str, Any]) -> str:
    """Return the name by which a person knows themselves (OpenID Connect Core, section 5.1)."""
    named = (claims.get(claim) for claim in _NAME_CLAIMS)
    name = next(text for text in named if isinstance(text, str) and text)
    return one_line(name[:_NAME_LIMIT])


def _forget(name: str, same_site: Any, site: Site) -> tuple[bytes, bytes]:
    return write_cookie(name, "", same_site=same_site, max_age_s=0, is_secure=site.is_secure)


def _judge(id_token: str, keys: bytes, login: PendingLogin, scope: str) -> Person:
    # Imported in a worker thread: it takes long.
    with IMPORTING:
        from router.oauth.browser.id_tokens import judge_id_token

    return judge_id_token(id_token, keys, login, scope)
