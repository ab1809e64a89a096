"""The routes of profiles, with profiles that are kept in a dict."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from router.messages.commands import ShowProfileTools
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.observability.records import ChangeRecord, Record
from tests.transports.listen.rest.rest_client import FakeProfiles, rest_site
from transports.listen.rest.profile_routes import NOT_AWAITED

TOOL = {
    "name": "files__read",
    "description": "Reads",
    "inputSchema": {"type": "object"},
    "instance": "files",
    "tokens": 9,
}
_JSON: Any = {"content_type": "application/json"}
HOST = "127.0.0.1"


async def test_profiles_are_shown_put_and_removed() -> None:
    profiles = FakeProfiles("home")
    async with rest_site(profiles=profiles) as site:
        assert (await site.ask("GET", "/api/profiles")).json == [{"name": "home"}]
        put = await site.ask("PUT", "/api/profiles/文件", {"title": "x"})
        assert (put.status, put.json) == (201, {"status": "success", "profile": "文件"})
        again = await site.ask("PUT", "/api/profiles/文件", {"title": "y"})
        assert (again.status, again.json) == (200, {"status": "success", "profile": "文件"})
        shown = await site.ask("GET", "/api/profiles/文件")
        assert (shown.status, shown.json) == (200, {"name": "文件", "title": "y"})
        removed = await site.ask("DELETE", "/api/profiles/文件")
        assert (removed.status, removed.json) == (200, {"status": "success", "removed": "文件"})
        assert site.actor.asked == []


async def test_tools_of_a_profile_are_asked_of_the_actor() -> None:
    answer = {"tools": [TOOL], "total_tokens": 9}
    async with rest_site(profiles=FakeProfiles("文件")) as site:
        site.actor.answers[:] = [answer, RpcError(INSTANCE_NOT_FOUND, "Profile not found: x")]
        got = await site.ask("GET", "/api/profiles/文件/tools")
        unknown = await site.ask("GET", "/api/profiles/x/tools")
        odd = await site.ask("GET", "/api/profiles/-x/tools")
    assert (got.status, got.json) == (200, answer)
    assert [asked.what for asked in site.actor.asked] == [
        ShowProfileTools("文件"),
        ShowProfileTools("x"),
    ]
    assert unknown.status == 404
    assert unknown.json["detail"] == {"error": "Profile not found: x", "code": "INSTANCE_NOT_FOUND"}
    assert odd.status == 422


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_profile_that_is_not_there_is_404(method: str) -> None:
    async with rest_site() as site:
        got = await site.ask(method, "/api/profiles/x")
    assert got.status == 404
    assert got.json["detail"]["error"] == "Profile not found: x"


async def test_router_without_a_file_for_profiles_takes_none() -> None:
    async with rest_site() as site:
        assert (await site.ask("GET", "/api/profiles")).json == []
        assert (await site.ask("PUT", "/api/profiles/x", {})).status == 403


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("caller", 'This token has no permission "admin" for all instances'),
        ("one", 'This token has no permission "admin" for all instances'),
        ("bound", 'This token has no permission "admin" for all instances'),
        ("nameless", "Profiles need a token with the admin permission; "),
    ],
)
async def test_profiles_are_for_who_may_change_every_instance(token: str, said: str) -> None:
    profiles = FakeProfiles("home")
    async with rest_site(profiles=profiles) as site:
        for method, target in [
            ("GET", "/api/profiles"),
            ("GET", "/api/profiles/home"),
            ("GET", "/api/profiles/home/tools"),
            ("PUT", "/api/profiles/home"),
            ("PUT", "/api/profiles/new"),
            ("DELETE", "/api/profiles/home"),
        ]:
            got = await site.ask(method, target, {"title": "x"}, token=token)
            assert got.status == 403
            assert got.json["detail"]["error"].startswith(said)
            assert got.json["detail"]["code"] == "SECURITY_ERROR"
    assert profiles.by_name == {"home": {}}


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("x", b"{", 400),
        ("x", b"[]", 422),
        ("x", b"null", 422),
        ("x", b'{"tools":' + b"[" * 70 + b"]" * 70 + b"}", 400),
        ("-x", b"{}", 422),
        ("..", b"{}", 422),
        ("a b", b"{}", 422),
    ],
)
async def test_body_or_name_that_no_profile_has_reaches_no_file(
    name: str, data: bytes, status: int
) -> None:
    profiles = FakeProfiles()
    async with rest_site(profiles=profiles) as site:
        got = await site.ask("PUT", f"/api/profiles/{name}", data=data, **_JSON)
    assert got.status == status
    assert profiles.by_name == {}


async def test_each_change_that_is_asked_for_is_recorded() -> None:
    records = list[Record]()
    async with rest_site(profiles=FakeProfiles("home"), write_record=records.append) as site:
        await site.ask("PUT", "/api/profiles/new", {})
        await site.ask("PUT", "/api/profiles/new", {}, token="caller")
        await site.ask("PUT", "/api/profiles/new", data=b"[]", **_JSON)
        await site.ask("DELETE", "/api/profiles/home")
        await site.ask("DELETE", "/api/profiles/home")
        await site.ask("GET", "/api/profiles")
    refused = 'This token has no permission "admin" for all instances'
    malformed = "body: expected a JSON object"
    assert records == [
        ChangeRecord("all", HOST, "put_profile", "new"),
        ChangeRecord("caller", HOST, "put_profile", "new", refused),
        ChangeRecord("all", HOST, "put_profile", "new", malformed),
        ChangeRecord("all", HOST, "remove_profile", "home"),
        ChangeRecord("all", HOST, "remove_profile", "home", "Profile not found: home"),
    ]


class HangingProfiles(FakeProfiles):
    """Profiles whose changes never end."""

    async def remove(self, name: str, /) -> None:
        await trio.sleep_forever()


async def test_a_change_whose_sender_has_gone_is_recorded_as_that(
    autojump_clock: Any,
) -> None:
    records = list[Record]()
    async with rest_site(profiles=HangingProfiles("home"), write_record=records.append) as site:
        with trio.move_on_after(1):
            await site.ask("DELETE", "/api/profiles/home")
    assert [one.problem for one in records if isinstance(one, ChangeRecord)] == [NOT_AWAITED]


async def test_profile_is_sent_as_json() -> None:
    async with rest_site(profiles=FakeProfiles()) as site:
        got = await site.ask("PUT", "/api/profiles/x", data=b"{}")
    assert got.status == 422
    assert got.json["detail"][0]["loc"] == ["header", "content-type"]


async def test_pages_may_put() -> None:
    async with rest_site() as site:
        preflight: Any = {"origin": "http://x.test", "access_control_request_method": "PUT"}
        got = await site.ask("OPTIONS", "/api/profiles/x", token=None, **preflight)
    assert "PUT" in got.headers["access-control-allow-methods"]
