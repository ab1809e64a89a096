"""The routes of approvers, with an actor that says what it is told to."""

from __future__ import annotations

from typing import Any, Final

import pytest
from msgspec import Raw

from router.messages import errors
from router.messages.commands import DecideApproval, ListApprovals
from router.messages.errors import RpcError
from tests.transports.listen.rest.rest_client import rest_site

DIGEST: Final = "ab" * 32


async def test_arguments_are_shown_byte_for_byte() -> None:
    async with rest_site() as site:
        site.actor.answers.append([{"id": "1f", "arguments": Raw(b'{"n":1.00}')}])
        got = await site.ask("GET", "/api/approvals")
        assert (got.status, got.body) == (200, b'[{"id":"1f","arguments":{"n":1.00}}]')
        assert site.actor.question == ListApprovals()


@pytest.mark.parametrize(
    ("body", "question"),
    [
        ({"approve": True, "arguments_sha256": DIGEST}, DecideApproval("1f", True, DIGEST)),
        ({"approve": False, "arguments_sha256": DIGEST}, DecideApproval("1f", False, DIGEST)),
        ({"approve": False}, DecideApproval("1f", False)),
    ],
)
async def test_a_decision_goes_to_the_core(body: Any, question: DecideApproval) -> None:
    async with rest_site() as site:
        site.actor.answers.append({"id": "1f"})
        got = await site.ask("POST", "/api/approvals/1f", body)
        assert (got.status, got.json) == (200, {"id": "1f"})
        assert site.actor.question == question


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["body", "approve"]),
        ({"approve": True}, ["body", "arguments_sha256"]),
        ({"approve": "yes", "arguments_sha256": DIGEST}, ["body", "approve"]),
        ({"approve": 1, "arguments_sha256": DIGEST}, ["body", "approve"]),
        ({"Approve": True, "arguments_sha256": DIGEST}, ["body", "Approve"]),
        ({"approve": True, "arguments_sha256": DIGEST.upper()}, ["body", "arguments_sha256"]),
        ([], ["body"]),
    ],
)
async def test_a_decision_that_does_not_fit_is_none(body: Any, where: list[str]) -> None:
    async with rest_site() as site:
        got = await site.ask("POST", "/api/approvals/1f", body)
        assert (got.status, got.json["detail"][0]["loc"]) == (422, where)
        assert not site.actor.asked


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        (errors.APPROVAL_NOT_FOUND, 404, "APPROVAL_NOT_FOUND"),
        (errors.APPROVAL_CONFLICT, 409, "APPROVAL_CONFLICT"),
        (errors.NOT_ALLOWED, 403, "SECURITY_ERROR"),
    ],
)
async def test_a_refused_decision_has_a_status(code: int, status: int, word: str) -> None:
    async with rest_site() as site:
        site.actor.answers.append(RpcError(code, "why"))
        body = {"approve": True, "arguments_sha256": DIGEST}
        got = await site.ask("POST", "/api/approvals/1f", body)
        assert (got.status, got.json) == (status, {"detail": {"error": "why", "code": word}})


async def test_a_call_that_was_not_approved_is_403() -> None:
    async with rest_site() as site:
        site.actor.answers.append(RpcError(errors.NOT_APPROVED, "not approved: why"))
        got = await site.ask("POST", "/api/call", {"instance": "files", "tool": "rm"})
        assert got.status == 403
        assert got.json == {"detail": {"error": "not approved: why", "code": "NOT_APPROVED"}}
