"""The routes that ask servers, with an actor that says what it is told to."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages import errors
from router.messages.commands import (
    CallTool,
    GetPrompt,
    ListPrompts,
    ListResources,
    ReadResource,
    ShowPrompts,
    ShowResources,
)
from router.messages.errors import RpcError
from router.messages.frames import Notification
from tests.transports.listen.rest.rest_client import RestSite, rest_site
from transports.listen.rest.calls.call_routes import REFUSED_WITHIN_S

CALL: Final = {"instance": "files", "tool": "read", "params": {"path": "a"}}
EVENTS: Final[Any] = {"accept": "text/event-stream"}
PROGRESS: Final = Notification("notifications/progress", Raw(b'{"progress":1}'))
LOGGED: Final = Notification("notifications/message", Raw(b'{"level":"info",\n"data":"x"}'))


async def call_with_news(site: RestSite, *values: Any) -> Any:
    """Call a tool for an event stream, for which these values come; return the response."""
    got: list[Any] = []

    async def ask() -> None:
        got.append(await site.ask("POST", "/api/call", CALL, **EVENTS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        while not site.actor.asked:
            await site.actor.news.wait()
        for value in values:
            site.actor.asked[0].reply_to.send_nowait(value)
    return got[0]


@pytest.mark.parametrize(
    ("target", "question", "answer"),
    [
        ("/api/resources", ListResources(), {"files": {"resources": [], "templates": []}}),
        ("/api/resources/files", ShowResources("files"), {"resources": [], "templates": []}),
        ("/api/prompts", ListPrompts(), {"files": [{"name": "ask"}]}),
        ("/api/prompts/files", ShowPrompts("files"), [{"name": "ask"}]),
    ],
)
async def test_lists_are_asked_for(target: str, question: Any, answer: Any) -> None:
    async with rest_site() as site:
        site.actor.answers.append(answer)
        got = await site.ask("GET", target)
        assert (got.status, got.json) == (200, answer)
        assert site.actor.question == question


@pytest.mark.parametrize(
    ("target", "body", "question"),
    [
        ("/api/resources/files/read", {"uri": "a:b"}, ReadResource("files", "a:b")),
        ("/api/prompts/files/get", {"name": "p"}, GetPrompt("files", "p", Raw(b"{}"))),
        (
            "/api/prompts/files/get",
            {"name": "p", "arguments": {"a": "1"}},
            GetPrompt("files", "p", Raw(b'{"a": "1"}')),
        ),
    ],
)
async def test_a_request_answers_with_the_servers_own_bytes(
    target: str, body: Any, question: Any
) -> None:
    async with rest_site() as site:
        site.actor.answers.append(Raw(b'{"x":1.10}'))
        got = await site.ask("POST", target, body)
        assert (got.status, got.body) == (200, b'{"x":1.10}')
        assert site.actor.question == question


@pytest.mark.parametrize(
    ("target", "body", "loc"),
    [
        ("/api/resources/files/read", {}, ["body", "uri"]),
        ("/api/resources/files/read", {"URI": "x"}, ["body", "URI"]),
        ("/api/resources/-x/read", {"uri": "x"}, ["path", "name"]),
        ("/api/prompts/files/get", {"name": "p", "arguments": []}, ["body", "arguments"]),
        ("/api/prompts/files/get", {"name": ""}, ["body", "name"]),
    ],
)
async def test_a_body_that_does_not_fit_says_where(target: str, body: Any, loc: list[str]) -> None:
    async with rest_site() as site:
        got = await site.ask("POST", target, body)
        assert (got.status, got.json["detail"][0]["loc"]) == (422, loc)
        assert site.actor.asked == []


async def test_a_resource_that_nobody_has_is_404_whoever_says_so() -> None:
    async with rest_site() as site:
        site.actor.answers.append(RpcError(errors.RESOURCE_NOT_FOUND, "Resource not found"))
        got = await site.ask("POST", "/api/resources/files/read", {"uri": "x:y"})
    assert got.status == 404


# --- Event streams ---------------------------------------------------------------------------


async def test_news_and_result_are_events() -> None:
    async with rest_site() as site:
        got = await call_with_news(site, PROGRESS, LOGGED, Raw(b'{"content": [\n]}'))
        assert site.actor.question == CallTool("files", "read", Raw(b'{"path": "a"}'), True)
        assert site.actor.abandoned == []
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.body == (
        b'event: progress\ndata: {"progress":1}\n\n'
        b'event: log\ndata: {"level":"info", "data":"x"}\n\n'
        b'event: result\ndata: {"content": [ ]}\n\n'
    )


async def test_an_error_after_news_is_the_last_event_with_its_status() -> None:
    async with rest_site() as site:
        got = await call_with_news(site, PROGRESS, RpcError(errors.TIMEOUT, "Timeout exceeded: 1s"))
    last = got.body.decode().strip().split("\n")[-1].removeprefix("data: ")
    assert (got.status, json.loads(last)) == (
        200,
        {"detail": {"error": "Timeout exceeded: 1s", "code": "TIMEOUT"}, "status": 504},
    )


async def test_an_error_before_all_else_has_its_own_status() -> None:
    async with rest_site() as site:
        got = await call_with_news(site, RpcError(errors.TOOL_NOT_FOUND, "No such tool"))
    assert (got.status, got.json["detail"]["code"]) == (404, "TOOL_NOT_FOUND")


async def test_a_silent_call_begins_its_stream_and_an_outbox_that_is_closed_ends_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with rest_site() as site:
        got: list[Any] = []

        async def ask() -> None:
            got.append(await site.ask("POST", "/api/call", CALL, **EVENTS))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(REFUSED_WITHIN_S + 20)
            site.actor.asked[0].reply_to.close()
    assert got[0].body.startswith(b": keep-alive\nevent: error\n")
    assert b"The router is stopping" in got[0].body


@pytest.mark.parametrize("values", [(), (PROGRESS,)])
async def test_a_client_that_leaves_cancels_its_call(values: tuple[Any, ...]) -> None:
    async with rest_site() as site:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call_with_news, site, *values)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        while not site.actor.abandoned:
            await site.actor.news.wait()
        assert site.actor.abandoned[0].reply_to is site.actor.asked[0].reply_to


async def test_who_wants_no_stream_gets_json() -> None:
    async with rest_site() as site:
        site.actor.answers.append(Raw(b"{}"))
        got = await site.ask("POST", "/api/call", CALL, accept="application/json")
        assert (got.headers["content-type"], site.actor.question.wants_news) == (
            "application/json",
            False,
        )
