"""Has the tokens of issuers checked before a request gets to the application of a listener.

To admit a request never waits, but the first request with a token of an identity provider has to:
for the keys of its issuer, or for the issuer itself. It does so here, for all listeners.

Invariant: a request whose token is known, or is none of an issuer, waits for nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import headers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeAlias

    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import (
        Answer,
        Endpoint,
        EventStream,
        HttpRequest,
        PendingResponse,
    )
    from transports.listen.serving.hosting.listener import Application

    CheckToken: TypeAlias = Callable[[Mapping[str, str]], Awaitable[None] | None]


class WithCheckedTokens:
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        check_token: headers, names in lower case -> what to await before the request is admitted;
            None if there is nothing to wait for.
        has_issuers: returns whether there are any issuers; else no headers are read here.

    Attributes:
        unread, own_paths: the other one's.
        endpoint: the other one's, behind the same check.
    """

    def __init__(
        self,
        app: Application,
        check_token: CheckToken,
        has_issuers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._app = app
        self._has_issuers = has_issuers
        self._check_token = check_token
        self.unread = app.unread
        self.own_paths = app.own_paths
        self.endpoint = None if app.endpoint is None else _Checked(app.endpoint, check_token)
        self.run = app.run
        self.end = app.end

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] in ("http", "websocket") and self._has_issuers():
            try:
                checking = self._check_token(headers_of(scope["headers"]))
            except HttpRefusal:
                checking = None  # The application refuses it in its own way.
            if checking is not None:
                await checking
        await self._app(scope, receive, send)


class _Checked:
    """An endpoint in front of another one."""

    def __init__(self, endpoint: Endpoint, check_token: CheckToken) -> None:
        self._endpoint = endpoint
        self._check_token = check_token
        self.unread = endpoint.unread
        self.end = endpoint.end

    async def respond(self, request: HttpRequest) -> Answer | EventStream | PendingResponse:
        """See `exchange.Endpoint`."""
        checking = self._check_token(request.headers)
        if checking is not None:
            await checking
        return await self._endpoint.respond(request)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `exchange.Endpoint`."""
        await self._endpoint.run(task_status=task_status)
