"""The document says what is served, no more and no less; the fuzzer in `tests/e2e` digs deeper."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from tests.transports.listen.rest_client import rest_site
from transports.listen.rest_openapi import document, page

METHODS: Final = {"GET", "POST", "PATCH", "DELETE", "PUT"}


def _served(has_logs: bool) -> dict[str, set[str]]:
    paths: dict[str, dict[str, Any]] = document("9", has_logs=has_logs)["paths"]
    return {path: {method.upper() for method in operations} for path, operations in paths.items()}


@pytest.mark.parametrize("has_logs", [True, False])
async def test_every_documented_route_is_served_with_these_methods_only(has_logs: bool) -> None:
    follow: Any = (lambda level, wake: None) if has_logs else None
    async with rest_site(follow=follow) as site:
        for path, methods in _served(has_logs).items():
            target = path.replace("{name}", "files")
            for method in METHODS:
                site.actor.answers[:] = ["files"]
                got = await site.ask(method, target, {"name": "files"})
                assert got.status != 404, path
                assert (got.status == 405) == (method not in methods), (method, path)


def test_every_reference_leads_somewhere() -> None:
    described = document("9", has_logs=True)
    names = set(re.findall(r"'#/components/schemas/(\w+)'", repr(described)))
    assert names <= set(described["components"]["schemas"])


def test_every_operation_has_a_name_of_its_own() -> None:
    operations = [
        operation["operationId"]
        for path in document("9", has_logs=True)["paths"].values()
        for operation in path.values()
    ]
    assert len(operations) == len(set(operations))


def test_page_loads_nothing_from_elsewhere_and_has_no_script() -> None:
    html = page(document("9", has_logs=True))
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", html)
    assert "<script" not in html
    assert "style=" not in html
    assert "<style" not in html
