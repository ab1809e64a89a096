"""The document says what is served, no more and no less; the fuzzer in `tests/e2e` digs deeper."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from router.messages.observability.metrics import CoreMetrics
from tests.transports.listen.rest.rest_client import FakeProfiles, rest_site
from transports.listen.rest.document.openapi import openapi_document

NO_METRICS: Final = CoreMetrics((), {}, 0, (), {}, 0, 0)
_ANSWERS: Final[Any] = {"/metrics": NO_METRICS, "/api/instances/{name}/details": {"name": "files"}}
METHODS: Final = {"GET", "POST", "PATCH", "DELETE", "PUT"}


def _served(has_logs: bool) -> dict[str, set[str]]:
    paths: dict[str, dict[str, Any]] = openapi_document("9", has_logs=has_logs)["paths"]
    return {path: {method.upper() for method in operations} for path, operations in paths.items()}


@pytest.mark.parametrize("has_logs", [True, False])
async def test_every_documented_route_is_served_with_these_methods_only(has_logs: bool) -> None:
    follow: Any = (lambda level, wake: None) if has_logs else None
    profiles = FakeProfiles()
    async with rest_site(follow=follow, profiles=profiles) as site:
        for path, methods in _served(has_logs).items():
            target = path.replace("{name}", "files").replace("{id}", "1f3a90bc")
            for method in METHODS:
                site.actor.answers[:] = [_ANSWERS.get(path, "files")]
                profiles.by_name["files"] = {}
                got = await site.ask(method, target, {"name": "files"})
                assert got.status != 404, path
                assert (got.status == 405) == (method not in methods), (method, path)


def test_every_reference_leads_somewhere() -> None:
    described = openapi_document("9", has_logs=True)
    names = set(re.findall(r"'#/components/schemas/(\w+)'", repr(described)))
    assert names <= set(described["components"]["schemas"])


def test_every_operation_has_a_name_of_its_own() -> None:
    operations = [
        operation["operationId"]
        for path in openapi_document("9", has_logs=True)["paths"].values()
        for operation in path.values()
    ]
    assert len(operations) == len(set(operations))


def test_every_body_has_an_example_and_no_route_of_the_open_ones_wants_a_token() -> None:
    for path, operations in openapi_document("9", has_logs=True)["paths"].items():
        for operation in operations.values():
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["example"]
            is_closed = path.startswith(("/api/", "/ws", "/metrics"))
            assert ("401" in operation["responses"]) == is_closed


async def test_websocket_is_described_and_asked_for_otherwise_says_what_it_is() -> None:
    assert "/ws" not in openapi_document("9", has_logs=False)["paths"]
    follow: Any = lambda level, wake: None  # noqa: E731
    async with rest_site(follow=follow) as site:
        got = await site.ask("GET", "/ws")
        other = await site.ask("POST", "/ws")
        elsewhere = await site.ask("GET", "/health")
    assert got.status == 400
    assert got.json["detail"].startswith("This is a WebSocket")
    assert other.status == 405
    assert "GET" in other.headers["allow"]
    assert elsewhere.status == 200
