"""Clients of the streamable HTTP endpoint, with and without a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.messages.events import ClientOpened, FromClient
from tests.transports.listen.endpoint_client import (
    BOTH,
    EVENTS,
    JSON,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import PROGRESS, FakeActor, put
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


async def lone_call(
    endpoint: HttpEndpoint, actor: FakeActor, sent: HttpRequest
) -> tuple[PendingResponse, FromClient]:
    """Send a request without a session; return it as the client and as the actor see it."""
    pending = await pending_of(endpoint, sent)
    await actor.next(ClientOpened)
    return pending, await actor.next(FromClient)


class Session:
    """A client with a session."""

    def __init__(
        self, endpoint: HttpEndpoint, actor: FakeActor, session_id: str, outbox: Any
    ) -> None:
        self.endpoint = endpoint
        self.actor = actor
        self.id = session_id
        self.outbox = outbox

    @classmethod
    async def open(
        cls, endpoint: HttpEndpoint, actor: FakeActor, revision: str = "2025-11-25", **headers: str
    ) -> Session:
        asked = post(message("initialize", 0, protocolVersion=revision), **headers)
        pending = await pending_of(endpoint, asked)
        opened = await actor.next(ClientOpened)
        assert not opened.one_shot
        await actor.answer({"protocolVersion": revision})
        answer = await outcome_of(pending, Answer)
        assert dict(answer.headers)[b"mcp-session-id"].decode() == opened.client
        return cls(endpoint, actor, opened.client, opened.outbox)

    async def call(self, body: Any = CALL, **headers: str) -> tuple[PendingResponse, FromClient]:
        pending = await pending_of(self.endpoint, post(body, self, **{**BOTH, **headers}))
        return pending, await self.actor.next(FromClient)

    async def streaming_call(self) -> tuple[EventStream, FromClient]:
        """A call whose response was committed to be an event stream."""
        pending, asked = await self.call()
        put(asked.reply_to, PROGRESS)
        return await outcome_of(pending, EventStream), asked
