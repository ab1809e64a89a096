"""Stands in front of every route of the REST API and its WebSocket, as ASGI around ASGI.

The guard admits requests, answers CORS preflights, reads bodies within their limits, and adds the
headers that every answer has.

Invariants:

- No route, known or not, and no error page escapes the guard.
- A request that goes on has been read whole, and has a `Principal` in its scope, or None on the
  paths that are open to all.
- A WebSocket gets nothing more once its client would not be admitted any more, and ends when its
  token expires.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from router.messages.errors import HttpRefusal
from router.messages.observability.log_fields import by
from transports.listen.rest.rest_admission import is_preflight
from transports.listen.serving.asgi import (
    CONNECTION_CLOSE,
    RequestBody,
    path_of,
    peer_of,
)
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

    from transports.listen.rest.rest_admission import RestAdmission
    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import Headers

log = logging.getLogger("mcp_router.listen")

PRINCIPAL: Final = "mcp_router.principal"
"""The key of an ASGI scope that holds the principal."""

AT_END: Final = "mcp_router.at_end"
"""The key of the ASGI scope of a request that holds an `AsyncExitStack`. It is closed when the
request ends, also if its client leaves; what is pushed onto it has to bound its own waits."""

SECURITY_HEADERS: Final[Headers] = (
    NOSNIFF,
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
"""Sent over TLS only (RFC 6797 section 7.2)."""

PREFLIGHT_HEADERS: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"600"),
)

POLICY_VIOLATION: Final = 1008
"""The close code of a WebSocket that is not, or not any more, admitted (RFC 6455 section 7.4.1)."""


class Guard:
    """An ASGI application around another one.

    Attributes:
        is_ending: once set, every request gets 503.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], admission: RestAdmission) -> None:
        self._app = app
        self._admission = admission
        self.is_ending = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "http":
            await self._serve_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)

    async def _serve_request(self, scope: Message, receive: Receive, send: Send) -> None:
        body = RequestBody(receive)
        sender = _Sender(send, _security_headers(scope))
        try:
            headers = headers_of(scope["headers"])
            body.read_head(headers)
            sender.extra += self._admission.cors.headers_for(headers.get("origin"))
            inner_scope = self._admit(scope, headers)
            if is_preflight(scope, headers):
                await sender.answer(Answer(204, PREFLIGHT_HEADERS))
                return
            data = await body.read()
            if data:
                # The rules may have changed while the body was read.
                inner_scope = self._admit(scope, headers)
        except ClientGone:
            return
        except HttpRefusal as refused:
            await _refuse(refused, body, sender)
            return
        await self._run_app(inner_scope, _BodyReceiver(data, receive, sender), sender)

    async def _serve_websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        sender = _Sender(send, _security_headers(scope))
        try:
            headers = headers_of(scope["headers"])
            inner_scope = self._admit(scope, headers)
        except HttpRefusal as refused:
            await receive()  # the connect event, which ASGI sends first
            await sender.refuse_handshake(error_answer(refused), scope)
            return
        principal = inner_scope[PRINCIPAL]
        is_admitted = partial(self._admission.is_still_admitted, principal, scope, headers)
        expires_s = self._admission.lifetime_of(headers).expires_s
        with trio.CancelScope(deadline=expires_s) as serving:
            await self._app(inner_scope, receive, _AdmittedSender(sender, is_admitted, serving))
        if serving.cancelled_caught:
            reason = {"code": POLICY_VIOLATION, "reason": TOKEN_REVOKED}
            await sender({"type": "websocket.close", **reason})

    def _admit(self, scope: Message, headers: Mapping[str, str]) -> Message:
        """Return the scope for the inner application, with the principal in it."""
        if self.is_ending:
            raise router_stopping()
        principal = self._admission.principal_of(scope, headers)
        inner_scope = {**scope, PRINCIPAL: principal}
        peer = peer_of(scope)
        if peer is not None:
            peer.principal = principal.name if principal is not None else ""
        if not path_of(scope).startswith("/"):
            # RFC 9112 section 3.2: the other forms are for proxies. A target that contains a host
            # would be another path, and another host, to code that looks for them in the target.
            raise HttpRefusal(
                400, "The request target must begin with /", (("Connection", "close"),)
            )
        return inner_scope

    async def _run_app(self, scope: Message, receive: Receive, sender: _Sender) -> None:
        try:
            async with AsyncExitStack() as at_end:
                await self._app({**scope, AT_END: at_end}, receive, sender)
        except Exception:  # an error of one request must not close the connection in silence
            extra = by(scope[PRINCIPAL])
            log.exception("%s %s failed", scope["method"], scope["path"], extra=extra)
            if not sender.has_begun:
                error = b'{"detail":{"error":"Internal error","code":"INTERNAL_ERROR"}}'
                await sender.answer(json_answer(error, 500))


def _security_headers(scope: Message) -> Headers:
    is_secure = scope.get("scheme") in ("https", "wss")
    return (*SECURITY_HEADERS, HSTS) if is_secure else SECURITY_HEADERS


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


class _BodyReceiver(Struct):
    """An ASGI `receive` that returns a body that was read, and after that the disconnect."""

    body: bytes | None
    receive: Receive
    sender: _Sender

    async def __call__(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self.receive()
        if self.sender.is_ending:
            # Servers report `http.disconnect` after the last byte too. Quart would cancel the
            # sending of that byte, which keeps the server from closing the connection properly.
            await trio.sleep_forever()
        return message


class _Sender(Struct):
    """An ASGI `send` that adds headers to every response.

    Attributes:
        extra: the headers to add; they replace headers of the same name.
        has_begun: the head of a response was sent.
        is_ending: the last part of a body is being sent, or was.
    """

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
        """Send an answer of the guard itself."""
        headers: list[Any] = list(answer.headers)
        if answer.status != 204:  # RFC 9110 section 8.6: no Content-Length with 204
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await self({"type": f"{kind}.start", "status": answer.status, "headers": headers})
        await self.send({"type": f"{kind}.body", "body": answer.body, "more_body": False})

    async def refuse_handshake(self, answer: Answer, scope: Message) -> None:
        """Refuse a WebSocket, with an answer if the server can send one.

        ASGI calls that a WebSocket Denial Response.
        """
        if "websocket.http.response" in (scope.get("extensions") or {}):
            await self.answer(answer, "websocket.http.response")
        else:
            await self.send({"type": "websocket.close", "code": POLICY_VIOLATION})


class _AdmittedSender(Struct, frozen=True):
    """An ASGI `send` for a WebSocket that sends nothing once its client is not admitted any more.

    Attributes:
        serving: the scope of the inner application, which is cancelled then.
    """

    sender: _Sender
    is_admitted: Callable[[], bool]
    serving: trio.CancelScope

    async def __call__(self, message: Message) -> None:
        if message["type"] != "websocket.send" or self.is_admitted():
            await self.sender(message)
            return
        self.serving.cancel(TOKEN_REVOKED)
        await trio.sleep_forever()
