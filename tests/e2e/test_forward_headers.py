"""Headers of clients that go to a server: those that its entry names, with their own requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.raw_client import HttpClient
from tests.e2e.recording_upstream import RecordingUpstream, recording_upstream
from tests.e2e.secured_router import ask
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

TOKEN: Final = "token-of-the-client"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.configure(security={"bearer_token": TOKEN}, api={"enabled": True, "port": 0})
    return workspace


def calls_in(upstream: RecordingUpstream) -> list[str]:
    """Return the calls that a server has got, each in lower case, and forget all requests."""
    seen, upstream.seen[:] = list(upstream.seen), []
    return [one.lower() for one in seen if '"tools/call"' in one]


def test_named_headers_go_with_the_calls_of_their_client_from_the_change_on(
    workspace: Workspace,
) -> None:
    with recording_upstream() as upstream:
        workspace.add("remote", type="http", url=upstream.url)
        with workspace.serve("http") as router:
            router.stderr.wait_for("remote is ready")
            alice, bob = (HttpClient(router.url("/mcp"), TOKEN) for _ in range(2))
            for client, tenant in ((alice, "of-alice"), (bob, "of-bob")):
                client._headers |= {"X-Tenant": tenant, "X-Secret": "kept"}
                client.initialize()
                client.call(1, "remote", "echo")
            before = calls_in(upstream)
            change = {"forward_headers": ["X-Tenant"]}
            target = "/api/instances/remote?wait=ready"
            status, _, body = ask(router.netloc(), "PATCH", target, TOKEN, change)
            assert status == 200, body
            # The same heads as before, on the same connections.
            for client in (alice, bob):
                client.call(2, "remote", "echo")
                client.close()
            after, everything = calls_in(upstream), "".join(upstream.seen)
    assert [one.count("x-tenant") for one in before] == [0, 0]
    assert ["x-tenant: of-alice" in one for one in after] == [True, False]
    assert ["x-tenant: of-bob" in one for one in after] == [False, True]
    assert not any(hidden in "".join((*before, *after)) for hidden in ("kept", TOKEN))
    assert json.dumps(TOKEN) not in everything
