"""Clients of the streamable HTTP endpoint, with and without a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.messages.events import ClientOpened, FromClient
from tests.transports.listen.actor import (
    BOTH,
    EVENTS,
    JSON,
    PROGRESS,
    Actor,
    decided,
    message,
    put,
    request,
    waiting_of,
)
from transports.listen.serving.exchange import Answer, EventStream

if TYPE_CHECKING:
    from transports.listen.http.http_endpoint import HttpEndpoint
    from transports.listen.serving.exchange import HttpRequest, PendingResponse

CALL = message("tools/call", 7, name="echo")


def post(body: Any, session: Session | None = None, /, **headers: str) -> HttpRequest:
    named = {} if session is None else {"mcp_session_id": session.id}
    return request("POST", "/mcp", body, **{**JSON, **named, **headers})


def get(session: Session, **headers: str) -> HttpRequest:
    return request("GET", "/mcp", **{**EVENTS, "mcp_session_id": session.id, **headers})


class Session:
    """A client with a session."""

    def __init__(self, endpoint: HttpEndpoint, actor: Actor, session_id: str, outbox: Any) -> None:
        self.endpoint = endpoint
        self.actor = actor
        self.id = session_id
        self.outbox = outbox

    @classmethod
    async def open(
        cls, endpoint: HttpEndpoint, actor: Actor, revision: str = "2025-11-25", **headers: str
    ) -> Session:
        asked = post(message("initialize", 0, protocolVersion=revision), **headers)
        waiting = await waiting_of(endpoint, asked)
        opened = await actor.next(ClientOpened)
        assert not opened.one_shot
        await actor.answer({"protocolVersion": revision})
        answer = await decided(waiting, Answer)
        assert dict(answer.headers)[b"mcp-session-id"].decode() == opened.client
        return cls(endpoint, actor, opened.client, opened.outbox)

    async def call(self, body: Any = CALL, **headers: str) -> tuple[PendingResponse, FromClient]:
        waiting = await waiting_of(self.endpoint, post(body, self, **{**BOTH, **headers}))
        return waiting, await self.actor.next(FromClient)

    async def streaming_call(self) -> tuple[EventStream, FromClient]:
        """A call whose response was committed to be an event stream."""
        waiting, asked = await self.call()
        put(asked.reply_to, PROGRESS)
        return await decided(waiting, EventStream), asked
