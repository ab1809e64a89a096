"""The routes of the REST API, with an actor that says what it is told to."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from msgspec import Raw

from router.messages import errors
from router.messages.commands import (
    AddInstance,
    CallTool,
    ListInstances,
    ListTools,
    MakeChange,
    RemoveInstance,
    RestartInstance,
    SetActive,
    ShowDetails,
    ShowInstance,
    ShowStatus,
    ShowTools,
    UpdateInstance,
)
from router.messages.errors import RpcError
from tests.transports.listen.rest.rest_client import TOKENS, rest_site

ROW = {"name": "files", "provider": "files", "active": True}
TOOL = {"name": "read", "description": "Reads", "inputSchema": {"type": "object"}}
CALL = {"instance": "files", "tool": "read", "params": {"path": "a"}}
_JSON: Any = {"content_type": "application/json"}


async def test_root_and_health_are_open_and_tell_of_themselves() -> None:
    async with rest_site(about=lambda: {"url": "http://127.0.0.1:8002"}) as site:
        root = await site.ask("GET", "/", token=None)
        health = await site.ask("GET", "/health", token=None)
    assert root.json == {
        "name": "MCP Router API",
        "version": "9",
        "status": "running",
        "url": "http://127.0.0.1:8002",
    }
    assert health.json == {"status": "healthy"}


async def test_behind_a_prefix_the_paths_are_below_it() -> None:
    async with rest_site() as site:
        health = await site.ask("GET", "/tools/health", token=None, root_path="/tools")
        page = await site.ask("GET", "/tools/docs", token=None, root_path="/tools")
        document = await site.ask("GET", "/tools/openapi.json", token=None, root_path="/tools")
        plain = await site.ask("GET", "/openapi.json", token=None)
        other = await site.ask("GET", "/tools/docs", token=None)
    assert health.json == {"status": "healthy"}
    assert b'href="docs.css"' in page.body
    assert document.json == {**plain.json, "servers": [{"url": "/tools"}]}
    assert other.status == 401


async def test_command_has_the_address_that_it_came_from() -> None:
    async with rest_site() as site:
        site.actor.answers = [[]]
        await site.ask("GET", "/api/instances")
    assert [one.address for one in site.actor.asked] == ["127.0.0.1"]


async def test_health_is_503_once_the_router_drains() -> None:
    draining = [False]
    async with rest_site(is_draining=lambda: draining[0]) as site:
        assert (await site.ask("GET", "/health", token=None)).status == 200
        draining[0] = True
        health = await site.ask("GET", "/health", token=None)
    assert (health.status, health.json) == (503, {"status": "stopping"})
    assert health.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("target", "question", "answer"),
    [
        ("/api/instances", ListInstances(), [ROW]),
        ("/api/instances/files", ShowInstance("files"), ROW),
        ("/api/instances/文件", ShowInstance("文件"), ROW),
        ("/api/tools", ListTools(), {"files": [TOOL]}),
        ("/api/tools/files", ShowTools("files"), [TOOL]),
        ("/api/status", ShowStatus(), [ROW]),
    ],
)
async def test_get_asks_the_actor_and_answers_as_it_does(
    target: str, question: Any, answer: Any
) -> None:
    async with rest_site() as site:
        site.actor.answers.append(answer)
        got = await site.ask("GET", target)
        assert (got.status, got.json) == (200, answer)
        assert site.actor.question == question
        assert site.actor.asked[0].principal == TOKENS["Bearer all"]


@pytest.mark.parametrize(
    ("body", "provider", "entry"),
    [
        ({"name": "n", "command": "x"}, "n", {"name": "n", "command": "x"}),
        (
            {"name": "n", "provider": "p", "config": {"command": "x"}},
            "p",
            {"name": "n", "provider": "p", "command": "x"},
        ),
        (
            {"mcpServers": {"n": {"command": "x"}}},
            "n",
            {"mcpServers": {"n": {"command": "x"}}},
        ),
        (
            {"name": "n", "url": "u", "config": {"mine": 1}},
            "n",
            {"name": "n", "url": "u", "config": {"mine": 1}},
        ),
    ],
)
async def test_entry_may_be_given_in_several_ways(body: Any, provider: str, entry: Any) -> None:
    async with rest_site() as site:
        site.actor.answers.append("n")
        assert (await site.ask("POST", "/api/instances", body)).status == 201
        assert site.actor.question.change == AddInstance(provider, entry)


async def test_options_and_odd_paths() -> None:
    async with rest_site() as site:
        options = await site.ask("OPTIONS", "/api/instances")
        odd = await site.ask("GET", "/api//instances")
        traced = await site.ask("TRACE", "/")
    assert (options.status, odd.status, traced.status) == (200, 404, 405)
    assert "POST" in options.headers["allow"]


async def test_trailing_slash_is_no_other_route() -> None:
    async with rest_site() as site:
        site.actor.answers.append([ROW])
        assert (await site.ask("GET", "/api/instances/")).json == [ROW]


async def test_configuration_goes_with_the_instances() -> None:
    row = ROW | {"warnings": ["tools.allow: no tool 'x'"]}
    async with rest_site(config=lambda: {"problems": ["x"]}) as site:
        site.actor.answers.append([row])
        got = await site.ask("GET", "/api/config")
    problems = ["x", "files: tools.allow: no tool 'x'"]
    assert got.json == {"instances": [row], "current_instance": None, "problems": problems}


@pytest.mark.parametrize("token", ["one", "bound"])
async def test_principal_limited_to_some_instances_sees_no_configuration(token: str) -> None:
    async with rest_site(config=lambda: {"problems": ["x"]}) as site:
        site.actor.answers.append([ROW])
        got = await site.ask("GET", "/api/config", token=token)
    assert got.json == {"instances": [ROW], "current_instance": None}


async def test_call_answers_with_the_upstreams_own_result() -> None:
    result = b'{"content":[],"isError":true,"x":1.10}'
    async with rest_site() as site:
        site.actor.answers.append(Raw(result))
        got = await site.ask("POST", "/api/call", data=json.dumps(CALL).encode(), **_JSON)
        assert (got.status, got.body) == (200, result)
        assert site.actor.question == CallTool("files", "read", Raw(b'{"path": "a"}'))


async def test_call_without_params_has_no_arguments() -> None:
    async with rest_site() as site:
        site.actor.answers.append(Raw(b"{}"))
        await site.ask("POST", "/api/call", {"instance": "files", "tool": "read"})
        assert site.actor.question.arguments == Raw(b"{}")


@pytest.mark.parametrize(
    ("method", "target", "body", "change", "status", "answer"),
    [
        (
            "POST",
            "/api/instances",
            {"name": "files", "provider": "p", "command": "x"},
            AddInstance("p", {"name": "files", "provider": "p", "command": "x"}),
            201,
            {"status": "success", "instance_name": "files"},
        ),
        (
            "POST",
            "/api/instances",
            {"provider_name": "p", "config": {"command": "x"}},
            AddInstance("p", {"command": "x"}),
            201,
            {"status": "success", "instance_name": "files"},
        ),
        (
            "PATCH",
            "/api/instances/files",
            {"args": ["y"], "cwd": None},
            UpdateInstance("files", {"args": ["y"], "cwd": None}),
            200,
            {"status": "success", "instance_name": "files"},
        ),
        (
            "DELETE",
            "/api/instances/files",
            None,
            RemoveInstance("files"),
            200,
            {"status": "success", "removed": "files"},
        ),
        (
            "POST",
            "/api/instances/files/enable",
            None,
            SetActive("files", is_active=True),
            200,
            {"status": "success", "instance": "files", "active": True},
        ),
        (
            "POST",
            "/api/instances/files/disable",
            None,
            SetActive("files", is_active=False),
            200,
            {"status": "success", "instance": "files", "active": False},
        ),
    ],
)
async def test_change_is_asked_for_and_answered(
    method: str, target: str, body: Any, change: Any, status: int, answer: Any
) -> None:
    async with rest_site() as site:
        site.actor.answers.append("files")
        got = await site.ask(method, target, body)
        assert (got.status, got.json) == (status, answer)
        assert site.actor.question == MakeChange(change)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/instances?wait=ready"),
        ("PATCH", "/api/instances/files?wait=ready"),
        ("POST", "/api/instances/files/enable?wait=ready"),
    ],
)
async def test_change_may_wait_until_the_instance_is_ready(method: str, target: str) -> None:
    async with rest_site() as site:
        site.actor.answers.append("files")
        await site.ask(method, target, {"name": "files"})
        assert site.actor.question.wait_ready


@pytest.mark.parametrize(("code", "status"), [(errors.NOT_ALLOWED, 403), (errors.OVERLOADED, 503)])
async def test_error_is_answered_and_503_says_when_to_come_back(code: int, status: int) -> None:
    async with rest_site() as site:
        site.actor.answers.append(RpcError(code, "Why"))
        got = await site.ask("POST", "/api/instances/files/enable")
    assert (got.status, got.json["detail"]["error"]) == (status, "Why")
    assert ("retry-after" in got.headers) == (status == 503)


async def test_upstreams_own_error_of_a_call_is_400() -> None:
    async with rest_site() as site:
        site.actor.answers.append(RpcError(errors.INVALID_PARAMS, "Why"))
        got = await site.ask("POST", "/api/call", CALL)
    assert (got.status, got.json["detail"]["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(("query", "waits"), [("", False), ("?wait=ready", True)])
async def test_restart_is_asked_for_and_answered(query: str, waits: bool) -> None:
    async with rest_site() as site:
        site.actor.answers.append("files")
        got = await site.ask("POST", f"/api/instances/files/restart{query}")
        assert (got.status, got.json) == (200, {"status": "success", "instance": "files"})
        assert site.actor.question == RestartInstance("files", waits)


@pytest.mark.parametrize(
    ("token", "more"), [("all", {"entry": {"of": "files"}}), ("one", {}), ("bound", {})]
)
async def test_details_have_the_entry_for_who_sees_all_instances(token: str, more: Any) -> None:
    async with rest_site(entry=lambda name: {"of": name}) as site:
        site.actor.answers.append(dict(ROW))
        got = await site.ask("GET", "/api/instances/acme/details", token=token)
        assert got.json == ROW | more
        assert site.actor.question == ShowDetails("acme")


async def test_unknown_route_and_method_are_json() -> None:
    async with rest_site() as site:
        lost = await site.ask("GET", "/api/nothing")
        wrong = await site.ask("PUT", "/api/instances")
    assert (lost.status, lost.json) == (404, {"detail": "Not Found"})
    assert (wrong.status, wrong.json) == (405, {"detail": "Method Not Allowed"})
    assert "POST" in wrong.headers["allow"]


async def test_fault_is_500_in_the_log_and_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def config() -> dict[str, Any]:
        raise ValueError("hush")

    async with rest_site(config=config) as site:
        site.actor.answers.append([])
        with caplog.at_level(logging.ERROR):
            got = await site.ask("GET", "/api/config")
    assert (got.status, got.json["detail"]["code"]) == (500, "INTERNAL_ERROR")
    assert b"hush" not in got.body
    assert "hush" in caplog.text


async def test_after_its_end_everybody_is_told_to_come_back() -> None:
    async with rest_site() as site:
        site.app.end()
        got = await site.ask("GET", "/health")
    assert (got.status, got.json["detail"]) == (503, "The router is stopping")
    assert "retry-after" in got.headers
