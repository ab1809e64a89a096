"""The log over a WebSocket: who gets to it, how, and for how long.

`test_security` has `Host` and `Origin`. The tests of `transports/listen` have slow readers, levels,
the end of the listener, and unsound handshakes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.secured_router import ALL, READER, A, SecuredRouter, ask
from tests.e2e.websocket_client import CLOSE, TEXT, Follower

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

CALLER: Final = "canary-token-of-caller-0123456789"
LIMITED: Final = "canary-token-of-limited-0123456789"

TOKENS: Final[dict[str, Any]] = {
    "reader": {"token": READER, "permissions": ["read"]},
    "caller": {"token": CALLER, "permissions": ["call"]},
    "limited": {"token": LIMITED, "instances": ["snooping"]},
}


def configure(workspace: Workspace, tokens: dict[str, Any]) -> None:
    workspace.configure(
        security={"bearer_token": ALL, "tokens": tokens},
        api={"enabled": True, "port": 0, "enable_realtime_logs": True},
        watcher={"enabled": True, "debounce_delay": 0.1},
    )


def ticket(netloc: str, token: str) -> str:
    return json.loads(ask(netloc, "POST", "/api/ws-ticket", token)[2])["ticket"]


def test_websocket_opens_by_token_in_the_header_or_ticket_but_not_by_token_in_the_url(
    secured: SecuredRouter,
) -> None:
    with Follower(secured.api, READER) as one, Follower(secured.api, A) as another:
        assert (one.status, another.status) == (101, 101)
        assert "Realtime Logs" in one.until("\n")[0]
    for token, target in [
        (None, "/ws"),
        ("wrong", "/ws"),
        (None, f"/ws?token={ALL}"),
        (None, f"/ws?access_token={ALL}"),
        (None, f"/ws?ticket={ALL}"),
        (None, "/ws?ticket="),
    ]:
        with Follower(secured.api, token, target) as refused:
            assert refused.status == 401, target
    for origin in ("http://evil.test", "null"):
        target = f"/ws?ticket={ticket(secured.api, READER)}"
        with Follower(secured.api, None, target, f"Origin: {origin}") as refused:
            assert refused.status == 403


def test_ticket_is_good_once(secured: SecuredRouter) -> None:
    target = f"/ws?ticket={ticket(secured.api, READER)}"
    with Follower(secured.api, None, target) as first:
        assert first.status == 101
        with Follower(secured.api, None, target) as second:
            assert second.status == 401


def test_compression_is_not_agreed_to(secured: SecuredRouter) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    with Follower(secured.api, READER, "/ws", offer) as follower:
        assert follower.status == 101
        assert b"extensions" not in follower.head.lower()


@pytest.mark.parametrize("token", [CALLER, LIMITED])
def test_log_is_for_those_who_may_read_of_all_instances(workspace: Workspace, token: str) -> None:
    configure(workspace, TOKENS)
    with workspace.serve("api") as router:
        netloc = router.netloc()
        with Follower(netloc, token) as refused:
            assert refused.status == 403
        assert ask(netloc, "POST", "/api/ws-ticket", token)[0] == 403


@pytest.mark.parametrize(
    "tokens", [{}, {"reader": {"token": READER, "permissions": ["call"]}}], ids=["gone", "other"]
)
def test_token_that_is_taken_away_takes_the_log_with_it(
    workspace: Workspace, tokens: dict[str, Any]
) -> None:
    configure(workspace, TOKENS)
    with workspace.serve("api") as router:
        netloc = router.netloc()
        with Follower(netloc, READER) as follower, Follower(netloc, ALL) as other:
            follower.until("Press Ctrl+C")
            configure(workspace, tokens)
            router.stderr.wait_for("security.tokens")
            other.until("security.tokens")
            entry = {"name": "later", "command": "true", "isActive": False}
            assert ask(netloc, "POST", "/api/instances", ALL, entry)[0] == 201
            other.until("later")
            kind, data = follower.frame()
            while kind == TEXT:  # what was logged until the change was in force
                assert b"later" not in data
                kind, data = follower.frame()
            assert (kind, data[:2]) == (CLOSE, (1008).to_bytes(2, "big"))


def test_ticket_of_a_token_that_was_taken_away_opens_nothing(workspace: Workspace) -> None:
    configure(workspace, TOKENS)
    with workspace.serve("api") as router:
        netloc = router.netloc()
        target = f"/ws?ticket={ticket(netloc, READER)}"
        configure(workspace, {})
        router.stderr.wait_for("security.tokens")  # said when it is in force
        with Follower(netloc, None, target) as refused:
            assert refused.status == 401
