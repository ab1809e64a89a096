"""The commands of approvers, with a router of fixed answers."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.cli.main import main
from tests.router.cli.rest_api.fake_router import FakeRouter, fake_router

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("home")

CALL: Final[dict[str, Any]] = {
    "id": "1f3a90bc",
    "principal": "agent",
    "client": "code 1.0",
    "instance": "files",
    "tool": "rm",
    "arguments": {"path": "/x", "note": "a\u202eb\x1b[2J"},
    "arguments_sha256": "told by the router",
    "waiting_s": 12.4,
    "expires_in_s": 287.6,
}
SHA256: Final = hashlib.sha256(rb'{"path": "/x", "note": "a\u202eb\u001b[2J"}').hexdigest()
"""Of the arguments as this router writes them."""

SHOWN: Final = r"""1f3a90bc  files  rm
  by 'agent' (code 1.0), 12 s ago, refused in 288 s
  {
    "path": "/x",
    "note": "a\u202eb\u001b[2J"
  }
"""
DECIDE: Final = "POST /api/approvals/1f3a90bc"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with fake_router() as router:
        yield router.answer("GET /api/approvals", [CALL]).answer(DECIDE, {"id": "1f3a90bc"})


def run(router: FakeRouter, *words: str) -> int:
    return main([*words, "--url", router.url])


def test_waiting_calls_are_shown_whole(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    other = CALL | {"id": "2b", "principal": "", "client": "", "arguments": {}}
    router.answer("GET /api/approvals", [CALL, other])
    assert run(router, "approvals") == 0
    lines = "2b  files  rm\n  by a client without a token, 12 s ago, refused in 288 s\n  {}\n"
    assert capsys.readouterr().out == f"{SHOWN}\n{lines}"


def test_names_cannot_forge_a_line(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    router.answer("GET /api/approvals", [CALL | {"tool": "rm\n2b  files  ls", "client": "\x1b[2J"}])
    assert run(router, "approvals") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == len(SHOWN.splitlines())


def test_that_none_waits_is_said(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    router.answer("GET /api/approvals", [])
    assert run(router, "approvals") == 0
    assert run(router, "approvals", "--json") == 0
    assert capsys.readouterr().out == "No call waits for approval\n[]\n"


def test_each_call_is_told_once_while_they_are_watched(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([[CALL], [CALL, CALL | {"id": "2b"}]])

    def sleep(_: float) -> None:
        rows = next(left, None)
        if rows is None:
            raise KeyboardInterrupt
        router.answer("GET /api/approvals", rows)

    monkeypatch.setattr("router.cli.approving.approvals_command.time.sleep", sleep)
    router.answer("GET /api/approvals", [])
    run(router, "approvals", "--watch")
    assert capsys.readouterr().out == f"{SHOWN}\n{SHOWN.replace('1f3a90bc', '2b')}\n"


def test_a_call_is_shown_before_it_is_approved_as_it_was_shown(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run(router, "approve", "1f3a90bc") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{SHOWN}approved\n"
    assert captured.err == "Approve it? [y/N] "
    assert router.bodies(DECIDE) == [{"approve": True, "arguments_sha256": SHA256}]


@pytest.mark.parametrize("stdin", [Terminal("n\n"), Terminal(""), io.StringIO("y\n")])
def test_without_a_yes_nothing_is_decided(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    assert run(router, "approve", "1f3a90bc") == 1
    assert router.bodies(DECIDE) == []


def test_yes_asks_nothing_and_deny_neither(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "approve", "1f3a90bc", "--yes") == 0
    assert run(router, "deny", "1f3a90bc") == 0
    assert capsys.readouterr().out == f"{SHOWN}approved\n{SHOWN}denied\n"
    yes, no = router.bodies(DECIDE)
    assert (yes["approve"], no["approve"]) == (True, False)


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_a_call_that_waits_no_more_is_not_decided_about(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    router.answer("GET /api/approvals", [])
    late = {"error": "Call 1f3a90bc was denied by 'ops' already", "code": "APPROVAL_CONFLICT"}
    router.answer(DECIDE, {"detail": late}, 409)
    assert run(router, command, "1f3a90bc", "--yes") == 1
    assert capsys.readouterr().err == f"mcp-router: {late['error']}\n"
    (sent,) = router.bodies(DECIDE)
    assert sent["arguments_sha256"] == "0" * 64


def test_what_is_no_router_is_said(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    router.answer("GET /api/approvals", {"not": "a list"})
    assert run(router, "approvals") == 1
    assert "no MCP Router" in capsys.readouterr().err
