"""Answers further paths in front of the application of a listener, without a token.

They are for what others have to reach before they have a token, or never get one: metadata
documents, and the pages to which a browser comes back from a login.

Invariants: `Host` is checked as on every route, and so is `Origin` but where pages of every origin
may read the answer; a path that is none of these is left to the application; what a route answers
is never kept by a cache, unless it says so itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from router.messages.errors import HttpRefusal
from transports.listen.serving.asgi import RequestBody, path_of, peer_of, request_of, send_answer
from transports.listen.serving.exchange import Answer, ClientGone, error_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import TypeAlias

    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import HttpRequest
    from transports.listen.serving.hosting.listener import Application

    Route: TypeAlias = Callable[[HttpRequest], Awaitable[Answer]]

_HEADERS: Final = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'"),
    (b"referrer-policy", b"no-referrer"),
)
_NOT_KEPT: Final = (b"cache-control", b"no-store")

_FOR_EVERY_PAGE: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"MCP-Protocol-Version"),
)
"""Lets pages of every origin read an answer (Fetch standard, CORS protocol)."""


class OpenRoutes(Struct, frozen=True):
    """Routes by their paths.

    Attributes:
        exact: path -> its route.
        below: path -> the route of that path and of all below it.
        for_every_page: as `below`, for what pages of every origin may read: clients of MCP run in
            pages, too. It tells nothing secret and changes nothing.
    """

    exact: dict[str, Route] = {}
    below: dict[str, Route] = {}
    for_every_page: dict[str, Route] = {}

    def find(self, path: str) -> Route | None:
        """Return the route of a path; None if it has none."""
        found = self.exact.get(path) or _above(path, self.below)
        return found or _above(path, self.for_every_page)

    def is_for_every_page(self, path: str) -> bool:
        """Return whether pages of every origin may read the answers at a path."""
        return _above(path, self.for_every_page) is not None


def _above(path: str, routes: Mapping[str, Route]) -> Route | None:
    above = (each for each in routes if path == each or path.startswith(f"{each}/"))
    return next((routes[each] for each in above), None)


def joined(several: Iterable[OpenRoutes]) -> OpenRoutes:
    """Return all of these routes; no two have the same path."""
    all_routes = OpenRoutes({}, {}, {})
    for routes in several:
        all_routes.exact.update(routes.exact)
        all_routes.below.update(routes.below)
        all_routes.for_every_page.update(routes.for_every_page)
    return all_routes


class WithOpenRoutes:
    """An ASGI application that answers open routes itself and leaves the rest to another one.

    Args:
        app: the other one.
        routes: the open routes.
        check_site: checks `Host` and `Origin`; raises `HttpRefusal`.

    Attributes:
        unread, endpoint: the other one's.
        own_paths: the paths for which no endpoint is asked.
    """

    def __init__(
        self,
        app: Application,
        routes: OpenRoutes,
        check_site: Callable[[Mapping[str, str]], object],
    ) -> None:
        self._app = app
        self._routes = routes
        self._check_site = check_site
        self.unread = app.unread
        self.endpoint = app.endpoint
        self.own_paths = _Either(routes, app)
        self.run = app.run
        self.end = app.end

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        path = path_of(scope)
        route = self._routes.find(path) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        body = RequestBody(receive)
        try:
            try:
                request = request_of(scope, body, peer_of(scope))
                if self._routes.is_for_every_page(path):
                    answer = await self._answer_every_page(request, route)
                else:
                    self._check_site(request.headers)
                    answer = await route(request)
            except HttpRefusal as refused:
                answer = error_answer(refused)
            await send_answer(_with_headers(answer), body, send)
        except ClientGone:
            return

    async def _answer_every_page(self, request: HttpRequest, route: Route) -> Answer:
        await trio.lowlevel.checkpoint()
        headers = request.headers
        self._check_site({name: headers[name] for name in headers if name != "origin"})
        if request.method == "OPTIONS":
            return Answer(204, _FOR_EVERY_PAGE)
        try:
            answer = await route(request)
        except HttpRefusal as refused:
            answer = error_answer(refused)
        return Answer(answer.status, (*answer.headers, *_FOR_EVERY_PAGE), answer.body)


class _Either(Struct, frozen=True):
    """The paths of open routes, and those that an application has itself."""

    routes: OpenRoutes
    app: Application

    def __contains__(self, path: object) -> bool:
        text = str(path)
        return self.routes.find(text) is not None or text in self.app.own_paths


def _with_headers(answer: Answer) -> Answer:
    """Return the answer with the headers that its route has not set."""
    given = {name for name, _ in answer.headers}
    more = [pair for pair in (*_HEADERS, _NOT_KEPT) if pair[0] not in given]
    return Answer(answer.status, (*answer.headers, *more), answer.body)
