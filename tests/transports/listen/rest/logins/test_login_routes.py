"""The routes of logins: what they take, whom they ask, and what they answer."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from router.messages.commands import Asker, ShowInstance
from router.messages.errors import INSTANCE_NOT_FOUND, NOT_ALLOWED, TRANSPORT_ERROR, RpcError
from tests.transports.listen.rest.rest_client import TOKENS, rest_site

PATH = "/api/instances/notion/login"


@attrs.define
class NotedLogins:
    """Logins that note what they are asked, and answer with it."""

    error: RpcError | None = None
    asked: list[Any] = attrs.field(factory=list[Any])

    async def _note(self, *asked: Any, **more: Any) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.asked.append((*asked, more))
        return {"instance": asked[2]}

    async def begin(self, asker: Asker, name: str, /, **more: Any) -> dict[str, Any]:
        return await self._note("begin", asker, name, **more)

    async def begin_device(self, asker: Asker, name: str, /, **more: Any) -> dict[str, Any]:
        return await self._note("begin_device", asker, name, **more)

    async def state(self, asker: Asker, name: str, /, **more: Any) -> dict[str, Any]:
        return await self._note("state", asker, name, **more)

    async def finish(self, asker: Asker, name: str, callback: str, /) -> dict[str, Any]:
        return await self._note("finish", asker, name, callback=callback)

    async def log_out(self, asker: Asker, name: str, /, **more: Any) -> bool:
        await self._note("log_out", asker, name, **more)
        return True


@pytest.mark.parametrize(
    ("method", "target", "body", "step", "more"),
    [
        ("POST", PATH, None, "begin", {"redirect_uri": "", "person": ""}),
        ("POST", PATH, {}, "begin", {"redirect_uri": "", "person": ""}),
        ("POST", PATH, {"redirect_uri": "http://127.0.0.1:1/", "person": "ana"}, "begin",
         {"redirect_uri": "http://127.0.0.1:1/", "person": "ana"}),
        ("POST", PATH, {"device": True}, "begin_device", {"person": ""}),
        ("GET", PATH, None, "state", {"person": "", "wait": False}),
        ("GET", f"{PATH}?wait=over&person=ana", None, "state", {"person": "ana", "wait": True}),
        ("POST", f"{PATH}/callback", {"url": "code=a&state=b"}, "finish",
         {"callback": "code=a&state=b"}),
        ("DELETE", f"{PATH}?person=ana", None, "log_out", {"person": "ana"}),
    ],
)  # fmt: skip
async def test_logins_are_asked_in_the_name_of_the_sender(
    method: str, target: str, body: Any, step: str, more: dict[str, Any]
) -> None:
    logins = NotedLogins()
    async with rest_site(logins=logins) as site:
        site.actor.answers[:] = [{"name": "notion-1"}]
        got = await site.ask(method, target, body, token="caller")
    assert got.status == 200
    assert logins.asked == [(step, Asker(TOKENS["Bearer caller"], "127.0.0.1"), "notion-1", more)]
    assert got.json["instance"] == "notion-1"


async def test_logout_says_whether_there_was_a_login() -> None:
    async with rest_site(logins=NotedLogins()) as site:
        site.actor.answers[:] = [{"name": "notion"}]
        got = await site.ask("DELETE", PATH)
    assert got.json == {"status": "success", "instance": "notion", "was_logged_in": True}


async def test_only_instances_that_the_sender_sees_are_found() -> None:
    logins = NotedLogins()
    async with rest_site(logins=logins) as site:
        site.actor.answers[:] = [RpcError(INSTANCE_NOT_FOUND, "Instance not found: notion")]
        got = await site.ask("POST", PATH, token="one")
        (asked,) = site.actor.asked
    assert got.status == 404
    assert (asked.what, asked.principal.name) == (ShowInstance("notion"), "one")
    assert asked.principal.instances == frozenset({"files"})
    assert asked.principal.permissions == frozenset({"read"})
    assert logins.asked == []


@pytest.mark.parametrize(("code", "status"), [(NOT_ALLOWED, 403), (TRANSPORT_ERROR, 502)])
async def test_refusals_have_their_status(code: int, status: int) -> None:
    async with rest_site(logins=NotedLogins(RpcError(code, "no"))) as site:
        site.actor.answers[:] = [{"name": "notion"}]
        got = await site.ask("POST", PATH)
    assert (got.status, got.json["detail"]["error"]) == (status, "no")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", PATH, {"redirect_uri": 5}),
        ("POST", PATH, {"Device": True}),
        ("POST", PATH, []),
        ("POST", f"{PATH}/callback", {}),
        ("POST", f"{PATH}/callback", {"url": ""}),
        ("POST", f"{PATH}/callback", None),
        ("GET", f"{PATH}?wait=ready", None),
        ("POST", "/api/instances/-x/login", None),
    ],
)
async def test_what_does_not_fit_is_refused(method: str, target: str, body: Any) -> None:
    logins = NotedLogins()
    async with rest_site(logins=logins) as site:
        got = await site.ask(method, target, body)
        assert site.actor.asked == []
    assert got.status == 422
    assert logins.asked == []


async def test_router_without_logins_refuses() -> None:
    async with rest_site() as site:
        for method, target, body in [
            ("POST", PATH, None),
            ("POST", PATH, {"device": True}),
            ("GET", PATH, None),
            ("POST", f"{PATH}/callback", {"url": "x"}),
            ("DELETE", PATH, None),
        ]:
            site.actor.answers[:] = [{"name": "notion"}]
            assert (await site.ask(method, target, body)).status == 403
