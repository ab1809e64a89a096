"""The routes of pinned tools, with an actor that answers what it is told to."""

from __future__ import annotations

from typing import Any

import pytest

from router.messages.commands import ApproveTools, ShowPins
from router.messages.errors import ALREADY_EXISTS, NOT_SAVED, TOOL_NOT_FOUND, RpcError
from tests.transports.listen.rest.rest_client import rest_site

APPROVE = "/api/instances/files/tools/approve"
SHA256 = "ab" * 32
_JSON: Any = {"content_type": "application/json"}


async def test_the_answer_of_the_actor_is_reviewed() -> None:
    async with rest_site(review_pins=lambda found: {"reviewed": found}) as site:
        site.actor.answers[:] = [["found"]]
        got = await site.ask("GET", "/api/pins")
    assert (got.status, got.json) == (200, {"reviewed": ["found"]})
    assert site.actor.question == ShowPins()


async def test_tools_are_approved_with_the_digests_that_were_shown() -> None:
    async with rest_site() as site:
        site.actor.answers[:] = ["files"]
        got = await site.ask("POST", APPROVE, {"tools": {"读取": SHA256, "gone": None}})
    assert got.status == 200
    assert got.json == {"status": "success", "instance": "files", "approved": ["读取", "gone"]}
    assert site.actor.question == ApproveTools("files", {"读取": SHA256, "gone": None})


async def test_the_part_of_a_person_is_named_however_long_that_name_is() -> None:
    part = "files#person:" + "https%3A%2F%2Fidp.example%20" + "x" * 200
    async with rest_site() as site:
        site.actor.answers[:] = [part]
        target = f"/api/instances/{part}/tools/approve"
        got = await site.ask("POST", target, {"tools": {"read": SHA256}})
    assert got.status == 200, got.json
    assert site.actor.question == ApproveTools(part, {"read": SHA256})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RpcError(ALREADY_EXISTS, "it changed after it was shown"), 409),
        (RpcError(TOOL_NOT_FOUND, "it does not differ"), 404),
        (RpcError(NOT_SAVED, "no space", {"errno": "ENOSPC"}), 507),
    ],
)
async def test_a_refusal_has_its_status(error: RpcError, status: int) -> None:
    async with rest_site() as site:
        site.actor.answers[:] = [error]
        got = await site.ask("POST", APPROVE, {"tools": {"read": SHA256}})
    assert got.status == status
    assert got.json["detail"]["error"] == error.message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"{}", 422),
        (b'{"tools":{}}', 422),
        (b'{"tools":["read"]}', 422),
        (b'{"tools":{"read":1}}', 422),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(body: bytes, status: int) -> None:
    async with rest_site() as site:
        got = await site.ask("POST", APPROVE, data=body, **_JSON)
    assert got.status == status
    assert site.actor.asked == []


async def test_without_a_review_nothing_is_pinned() -> None:
    async with rest_site() as site:
        site.actor.answers[:] = [None]
        assert (await site.ask("GET", "/api/pins")).json["pinning"] == "off"
