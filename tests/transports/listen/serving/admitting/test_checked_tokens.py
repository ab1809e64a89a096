"""Tokens of issuers are checked before the application sees their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tests.transports.listen.endpoint_client import answer_of
from tests.transports.listen.endpoint_client import request as request_of
from transports.listen.serving.admitting.checked_tokens import WithCheckedTokens
from transports.listen.serving.asgi import AsgiApp
from transports.listen.serving.exchange import Answer
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping


class Site:
    """An application that notes what happens, in its order."""

    def __init__(self) -> None:
        self.unread = UnreadBytes()
        self.happened: list[str] = []
        self.app = WithCheckedTokens(AsgiApp(self), self.check_token)

    def check_token(self, headers: Mapping[str, str]) -> Awaitable[None] | None:
        sent = headers.get("authorization", "")
        return self._check(sent) if sent == "new" else None

    async def _check(self, sent: str) -> None:
        await trio.lowlevel.checkpoint()
        self.happened.append(f"checked {sent}")

    async def respond(self, request: Any) -> Answer:
        await trio.lowlevel.checkpoint()
        self.happened.append(f"answered {request.headers.get('authorization')}")
        return Answer(200, ())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.lowlevel.checkpoint()
        task_status.started()
        self.happened.append("ran")

    def end(self) -> None:
        self.happened.append("ended")


async def ask(site: Site, *headers: tuple[bytes, bytes], kind: str = "http") -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers}
    await site.app(scope, receive, send)
    return sent


async def test_unknown_token_is_checked_first_on_both_ways_in() -> None:
    site = Site()
    await ask(site, (b"authorization", b"new"))
    assert site.app.endpoint is not None
    await answer_of(site.app.endpoint, request_of("POST", "/", authorization="new"))
    assert site.happened == ["checked new", "answered new"] * 2


async def test_known_token_waits_for_nothing() -> None:
    site = Site()
    await ask(site, (b"authorization", b"known"))
    assert site.app.endpoint is not None
    await answer_of(site.app.endpoint, request_of("POST", "/", authorization="known"))
    assert site.happened == ["answered known"] * 2


async def test_token_of_a_websocket_is_checked_as_well() -> None:
    site = Site()
    await ask(site, (b"authorization", b"new"), kind="websocket")
    assert site.happened == ["checked new"]


async def test_head_that_contradicts_itself_is_left_to_the_application() -> None:
    site = Site()
    twice = [(b"host", b"a"), (b"host", b"b"), (b"authorization", b"new")]
    (start, _) = await ask(site, *twice)
    assert start["status"] == 400
    assert site.happened == []


async def test_background_work_and_end_are_those_of_the_application() -> None:
    site = Site()
    assert site.app.endpoint is not None
    await site.app.endpoint.run()
    await site.app.run()
    site.app.end()
    assert site.happened == ["ran", "ran", "ended"]
