"""A URL that somebody types at this machine may be private."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.cli.main import main
from tests.router.cli.changing.data_folder import read, serve_at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.cli.rest_api.fake_router import FakeRouter

pytestmark = pytest.mark.usefixtures("home")


def test_a_url_that_was_typed_may_be_private(
    offline: Path, router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["add", "new", "http://localhost:9000/mcp"]
    assert main(words) == 0
    assert read(offline, "new")["allow_private"] is True
    serve_at(router, offline)
    target = "POST /api/instances?wait=ready"
    router.answer(target, {"status": "success", "instance_name": "new"}, 201)
    assert main(words) == 0
    assert router.bodies(target)[0]["allow_private"] is True
    # A router that allows none to the API adds it without.
    router.answer(target, {"detail": {"error": "no", "code": "NOT_ALLOWED"}}, 403)
    assert main(words) == 1
    assert [body.get("allow_private") for body in router.bodies(target)] == [True, True, None]
