"""What stands in front of every route of the REST API, and its WebSocket.

Job: who is let in (`Host`, `Origin`, token or ticket), CORS, the limits of a body, and the headers
that every answer has. Neighbours: an ASGI application behind it (`rest`), Hypercorn before it;
`asgi` has the body's limits.

Invariants: it is ASGI around ASGI, so no route, known or not, and no error page escapes it. What
goes in has been read whole; a `Principal` goes in with it, or None on the routes that are open. A
WebSocket gets nothing more once whoever opened it would not be let in any more.
Credentials are never allowed across origins: whoever calls from a page needs a token in a header.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import attrs
import trio

from router.messages.errors import HttpRefusal
from transports.listen.serving.asgi import BODY_S, CONNECTION_CLOSE, RequestBody, too_slow
from transports.listen.serving.exchange import (
    NOSNIFF,
    Answer,
    ClientGone,
    error_answer,
    headers_of,
    json_answer,
)
from transports.listen.serving.refusals import TOKEN_REVOKED, router_stopping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.commands import Principal
    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import Headers

log = logging.getLogger("mcp_router.listen")

PRINCIPAL: Final = "mcp_router.principal"
"""Where in an ASGI scope it is said who asks."""

OPEN_PATHS: Final = frozenset(
    {"/", "/health", "/openapi.json", "/docs", "/docs.css", "/docs.js", "/docs.svg"}
)
"""They tell nothing that would need a token; `Host` and `Origin` are checked there too."""

SECURITY_HEADERS: Final[Headers] = (
    NOSNIFF,
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
"""Only over TLS (RFC 6797 section 7.2); browsers would ignore it elsewhere anyway."""

PREFLIGHT_HEADERS: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"600"),
)
VARY: Final = (b"vary", b"Origin")

NOT_WELCOME: Final = 1008  # RFC 6455 section 7.4.1: policy violation

_LOOPBACK: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?")


@attrs.frozen
class Cors:
    """Whose pages may read the answers (`api.cors_origin`).

    Attributes:
        allowed: `*` or `0.0.0.0` for all, `127.0.0.1` for those of this machine, else an origin.
    """

    allowed: str

    @property
    def is_for_all(self) -> bool:
        """May every page?"""
        return self.allowed in ("*", "0.0.0.0")

    def headers_for(self, origin: str | None) -> Headers:
        """What an answer to a page of this origin says (Fetch standard, CORS protocol)."""
        if origin is None:
            return ()
        if self.is_for_all:
            return ((b"access-control-allow-origin", b"*"),)
        if not self._allows(origin):
            return (VARY,)
        return ((b"access-control-allow-origin", origin.encode("latin-1")), VARY)

    def _allows(self, origin: str) -> bool:
        if self.allowed == "127.0.0.1":
            return _LOOPBACK.fullmatch(origin) is not None
        return origin.lower() == self.allowed.lower().rstrip("/")


def everybody(_: Principal) -> bool:
    """For `Door.knows`: nobody is ever taken away."""
    return True


@attrs.frozen
class Door:
    """Who is let in.

    Attributes:
        admit: the rules of the router: header names in lower case -> who it is.
        needs_token: is there any token? Where there is, a page of another origin cannot get in
            without knowing one, so `api.cors_origin` may let all of them try.
        cors: whose pages may read the answers.
        redeem: who a WebSocket's ticket was made for; None for an unknown one.
        knows: is there somebody like that still? For those who came with a ticket.
    """

    admit: Callable[[Mapping[str, str]], Principal]
    needs_token: Callable[[], bool]
    cors: Cors
    redeem: Callable[[str], Principal | None]
    knows: Callable[[Principal], bool] = everybody

    def let_in(self, scope: Message, headers: Mapping[str, str]) -> Principal | None:
        """Who asks; None for somebody unknown where that does not matter.

        Raises:
            Refused: they are not let in.
        """
        try:
            return self._admit(scope, headers)
        except HttpRefusal as refused:
            if refused.status != 401:
                raise
            if scope["type"] == "websocket":
                return self._by_ticket(scope, refused)
            if scope["path"] in OPEN_PATHS or is_preflight(scope, headers):
                return None
            raise

    def is_welcome_still(
        self, principal: Principal, scope: Message, headers: Mapping[str, str]
    ) -> bool:
        """Would whoever was let in with this be let in now, and as the same?"""
        try:
            return self._admit(scope, headers) == principal
        except HttpRefusal as refused:
            # Their ticket is used up by now.
            return refused.status == 401 and "ticket" in _query(scope) and self.knows(principal)

    def _admit(self, scope: Message, headers: Mapping[str, str]) -> Principal:
        try:
            return self.admit(headers)
        except HttpRefusal as refused:
            # CORS is not for WebSockets: there only `Origin` tells a page from a program.
            is_welcome = self.needs_token() and self.cors.is_for_all and scope["type"] == "http"
            if refused.status != 403 or not is_welcome or headers.get("origin") in (None, "null"):
                raise
        return self.admit({name: headers[name] for name in headers if name != "origin"})

    def _by_ticket(self, scope: Message, refused: HttpRefusal) -> Principal:
        for ticket in _query(scope).get("ticket", [])[:1]:
            principal = self.redeem(ticket)
            if principal is not None and self.knows(principal):
                return principal
        raise refused


def _query(scope: Message) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Callable[..., Awaitable[None]], door: Door) -> None:
        self._app = app
        self._door = door
        self.is_ending = False
        """Set, it lets nobody in any more."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def _enter(self, scope: Message, headers: Mapping[str, str]) -> Message:
        if self.is_ending:
            raise router_stopping()
        inner = {**scope, PRINCIPAL: self._door.let_in(scope, headers)}
        if not scope["path"].startswith("/"):
            # RFC 9112 section 3.2: other forms are for proxies. One with a host in it would be
            # another path, and another host, to whoever looks for them there.
            raise HttpRefusal(
                400, "The request target must begin with /", (("Connection", "close"),)
            )
        return inner

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        body = RequestBody(receive)
        sender = _Sender(send, _extra(scope))
        try:
            headers = headers_of(scope["headers"])
            body.read_head(headers)
            sender.extra += self._door.cors.headers_for(headers.get("origin"))
            inner = self._enter(scope, headers)
            if is_preflight(scope, headers):
                await sender.answer(Answer(204, PREFLIGHT_HEADERS))
                return
            data = await _read(body)
            if data:
                inner = self._enter(scope, headers)  # whoever took their time is asked again
        except ClientGone:
            return
        except HttpRefusal as refused:
            await _refuse(refused, body, sender)
            return
        await self._run(inner, _Receiver(data, receive, sender), sender)

    async def _run(self, scope: Message, receive: Receive, sender: _Sender) -> None:
        try:
            await self._app(scope, receive, sender)
        except Exception:  # one request must not end the connection without a word
            log.exception("%s %s failed", scope["method"], scope["path"])
            if not sender.has_begun:
                error = b'{"detail":{"error":"Internal error","code":"INTERNAL_ERROR"}}'
                await sender.answer(json_answer(error, 500))

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        sender = _Sender(send, _extra(scope))
        try:
            headers = headers_of(scope["headers"])
            inner = self._enter(scope, headers)
        except HttpRefusal as refused:
            await receive()  # the connect event
            await sender.answer_handshake(error_answer(refused), scope)
            return
        is_welcome = partial(self._door.is_welcome_still, inner[PRINCIPAL], scope, headers)
        with trio.CancelScope() as followed:
            await self._app(inner, receive, _Watched(sender, is_welcome, followed))


def is_preflight(scope: Message, headers: Mapping[str, str]) -> bool:
    """Is it a browser that asks what a page may do (Fetch standard, CORS-preflight request)?"""
    is_options = scope["type"] == "http" and scope["method"] == "OPTIONS"
    return is_options and "origin" in headers and "access-control-request-method" in headers


def _extra(scope: Message) -> Headers:
    is_secure = scope.get("scheme") in ("https", "wss")
    return (*SECURITY_HEADERS, HSTS) if is_secure else SECURITY_HEADERS


async def _read(body: RequestBody) -> bytes:
    with trio.move_on_after(BODY_S):
        return await body.read()
    raise too_slow(body)


async def _refuse(refused: HttpRefusal, body: RequestBody, sender: _Sender) -> None:
    answer = error_answer(refused)
    if not body.is_complete and CONNECTION_CLOSE not in answer.headers:
        try:
            await body.discard()
        except ClientGone:
            return
        if not body.is_complete:
            sender.extra += (CONNECTION_CLOSE,)
    await sender.answer(answer)


@attrs.define
class _Receiver:
    """Hands in a body that has been read, and then what else comes: the client's leaving."""

    body: bytes | None
    receive: Receive
    sender: _Sender

    async def __call__(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self.receive()
        if self.sender.is_ending:
            # Servers say `http.disconnect` after the last byte too. Who is cancelled by that while
            # it is sent keeps them from closing the connection.
            await trio.sleep_forever()
        return message


@attrs.frozen
class _Watched:
    """Sends on a WebSocket for as long as its client is welcome, and closes it then."""

    sender: _Sender
    is_welcome: Callable[[], bool]
    followed: trio.CancelScope

    async def __call__(self, message: Message) -> None:
        if message["type"] != "websocket.send" or self.is_welcome():
            await self.sender(message)
            return
        await self.sender({"type": "websocket.close", "code": NOT_WELCOME, "reason": TOKEN_REVOKED})
        self.followed.cancel(TOKEN_REVOKED)
        await trio.sleep_forever()


@attrs.define
class _Sender:
    """Adds headers to whatever response goes out."""

    send: Send
    extra: Headers
    has_begun: bool = False
    is_ending: bool = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.is_ending = not message.get("more_body", False)
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.has_begun = True
            names = {name for name, _ in self.extra}
            own: list[tuple[bytes, bytes]] = [
                (name, value) for name, value in message["headers"] if name.lower() not in names
            ]
            message = {**message, "headers": [*own, *self.extra]}
        await self.send(message)

    async def answer(self, answer: Answer, kind: str = "http.response") -> None:
        """Send a response of our own."""
        headers: list[Any] = list(answer.headers)
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await self({"type": f"{kind}.start", "status": answer.status, "headers": headers})
        await self.send({"type": f"{kind}.body", "body": answer.body, "more_body": False})

    async def answer_handshake(self, answer: Answer, scope: Message) -> None:
        """Say why there is no WebSocket, where the server can (ASGI, WebSocket Denial Response)."""
        if "websocket.http.response" in (scope.get("extensions") or {}):
            await self.answer(answer, "websocket.http.response")
        else:
            await self.send({"type": "websocket.close", "code": 1008})
