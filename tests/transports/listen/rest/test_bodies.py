"""Bodies and names that the REST API does not take: nobody is asked, and the answer says where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.transports.listen.rest.rest_client import rest_site

if TYPE_CHECKING:
    from tests.transports.listen.rest.rest_client import RestSite

CALL = {"instance": "files", "tool": "read", "params": {"path": "a"}}
_JSON: Any = {"content_type": "application/json"}


async def _refused(site: RestSite, method: str, target: str, body: Any) -> Any:
    got = await site.ask(method, target, body)
    assert got.status == 422, got
    assert not site.actor.asked
    return got.json["detail"][0]["loc"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], ["body"]),
        ({}, ["body", "name"]),
        ({"name": 1}, ["body", "name"]),
        ({"name": "n", "args": "x"}, ["body", "args"]),
        ({"name": "n", "env": []}, ["body", "env"]),
        ({"name": "n", "tools": 3}, ["body", "tools"]),
        ({"name": "n", "resources": [3]}, ["body", "resources", "0"]),
        ({"name": "n", "max_sessions": "x"}, ["body", "max_sessions"]),
        ({"name": "n", "Command": "x"}, ["body", "Command"]),
        ({"name": ".."}, ["body", "name"]),
        ({"name": "a/b"}, ["body", "name"]),
        ({"name": "a\n"}, ["body", "name"]),
        ({"name": "a\0"}, ["body", "name"]),
        ({"name": "x" * 300}, ["body", "name"]),
        ({"name": "-x"}, ["body", "name"]),
        ({"name": "a", "provider": "../b"}, ["body", "provider"]),
        ({"provider_name": 5, "config": {}}, ["body", "provider_name"]),
        ({"provider_name": "..", "config": {"command": "x"}}, ["body", "provider_name"]),
        ({"provider_name": "p", "config": {"url": 1}}, ["body", "config", "url"]),
    ],
)
async def test_addition_that_does_not_fit_says_where(body: Any, where: list[str]) -> None:
    async with rest_site() as site:
        assert await _refused(site, "POST", "/api/instances", body) == where


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["body", "instance"]),
        ({"instance": "a"}, ["body", "tool"]),
        ({"instance": "a", "tool": 1}, ["body", "tool"]),
        ({**CALL, "params": []}, ["body", "params"]),
        ({**CALL, "Params": {}}, ["body", "Params"]),
    ],
)
async def test_call_that_does_not_fit_says_where(body: Any, where: list[str]) -> None:
    async with rest_site() as site:
        assert await _refused(site, "POST", "/api/call", body) == where


@pytest.mark.parametrize("name", ["..", "-a", "a\0", "x" * 101, "a\n"])
async def test_name_that_nothing_can_have_is_422(name: str) -> None:
    async with rest_site() as site:
        for method, more in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/enable"),
            ("POST", "/disable"),
        ):
            target = f"/api/instances/{name}{more}"
            assert await _refused(site, method, target, None) == ["path", "name"]


async def test_update_of_nothing_and_unknown_wait_are_422() -> None:
    async with rest_site() as site:
        assert await _refused(site, "PATCH", "/api/instances/a", {}) == ["body"]
        target = "/api/instances/a/enable?wait=1"
        assert await _refused(site, "POST", target, None) == ["query", "wait"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"instance":"a","tool":"t","params":{"x":NaN}}',
        b'{"instance":"a","tool":"t","params":{"x":"\xff"}}',
        b'{"instance":"a","tool":"t","params":' + b'{"x":' * 64 + b"1" + b"}" * 65,
        b'{"instance":"a","tool":"t","params":' + b"[" * 100_000,
    ],
)
async def test_body_that_is_no_json_is_400(data: bytes) -> None:
    async with rest_site() as site:
        got = await site.ask("POST", "/api/call", data=data, **_JSON)
        assert (got.status, got.json["detail"]["code"]) == (400, "VALIDATION_ERROR")
        assert not site.actor.asked


async def test_body_that_does_not_say_that_it_is_json_is_422() -> None:
    async with rest_site() as site:
        got = await site.ask("POST", "/api/call", data=json.dumps(CALL).encode())
    assert (got.status, got.json["detail"][0]["loc"]) == (422, ["header", "content-type"])
