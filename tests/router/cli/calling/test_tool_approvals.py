"""`tools pins` and `tools approve`, against a REST API with fixed answers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.cli.main import main
from tests.router.cli.rest_api.fake_router import ROW, FakeRouter, fake_router

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("home")

APPROVE: Final = "POST /api/instances/files/tools/approve"
SEND: Final[dict[str, Any]] = {
    "instance": "files",
    "tool": "send\x1b[2J",
    "change": "changed",
    "quarantined": True,
    "approved_sha256": "aa" * 32,
    "sha256": "bb" * 32,
    "diff": '@@ -1 +1 @@\n-  "title": "Send"\n+  "title": "Send\x1b[2J!"\n',
}
GONE: Final = SEND | {"tool": "gone", "change": "removed", "quarantined": False, "sha256": None}
OTHER: Final = SEND | {"instance": "mail", "tool": "read", "change": "new"}
FLAG: Final = {"instance": "files", "tool": SEND["tool"], "kind": "lookalike", "text": "odd\x1b"}
PINS: Final[dict[str, Any]] = {
    "pinning": "block",
    "problem": None,
    "tools": [SEND, GONE, OTHER],
    "flags": [FLAG],
}


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with fake_router(ROW) as router:
        router.answer("GET /api/pins", PINS)
        router.answer("GET /api/tools/files", [])
        for name in ("files", "mail"):
            route = f"POST /api/instances/{name}/tools/approve"
            router.answer(route, {"status": "success", "instance": name})
        yield router


def run(router: FakeRouter, *words: str) -> int:
    return main(["tools", *words, "--url", router.url, "--token", "a-token"])


def test_what_differs_is_listed_with_flags(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "pins") == 0
    assert capsys.readouterr().out == (
        "files  send\\x1b[2J  changed, quarantined\n"
        "files  gone         removed\n"
        "mail   read         new, quarantined\n"
        "files  send\\x1b[2J  odd\\x1b\n"
    )
    assert run(router, "pins", "files") == 0
    assert "mail" not in capsys.readouterr().out
    assert run(router, "pins", "files", "--json") == 0
    assert json.loads(capsys.readouterr().out) == PINS | {"tools": [SEND, GONE]}


@pytest.mark.parametrize(
    ("pinning", "said"),
    [
        ("warn", "All tools are as they were approved (security.pinning is warn).\n"),
        ("off", "Tools are not pinned; security.pinning in config.json is off.\n"),
    ],
)
def test_where_nothing_differs_that_is_said(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], pinning: str, said: str
) -> None:
    router.answer("GET /api/pins", PINS | {"pinning": pinning, "tools": [], "flags": []})
    assert run(router, "pins") == 0
    assert capsys.readouterr().out == said


def test_a_tool_is_shown_and_approved_as_it_was_shown(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "approve", "files", SEND["tool"], "--yes") == 0
    assert capsys.readouterr().out == (
        "files  send\\x1b[2J  changed, quarantined\n"
        "! odd\\x1b\n"
        "@@ -1 +1 @@\n"
        '-  "title": "Send"\n'
        '+  "title": "Send\\x1b[2J!"\n'
        "files: approved send\\x1b[2J\n"
    )
    assert router.bodies(APPROVE) == [{"tools": {SEND["tool"]: "bb" * 32}}]


def test_all_tools_of_all_instances_are_approved_one_instance_after_the_other(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "approve", "--yes", "--json") == 0
    answers = [{"status": "success", "instance": name} for name in ("files", "mail")]
    assert json.loads(capsys.readouterr().out) == answers
    assert router.bodies(APPROVE) == [{"tools": {SEND["tool"]: "bb" * 32, "gone": None}}]


class Answers:
    """A person at a terminal."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.lines.pop(0)


def test_no_is_no_and_the_next_instance_is_asked_for(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Answers("n\n", "y\n"))
    assert run(router, "approve") == 1
    said = capsys.readouterr()
    assert "Approve 2 tools of files? [y/N] mcp-router: files: nothing was approved" in said.err
    assert "Approve 1 tool of mail? [y/N]" in said.err
    assert said.out.endswith("mail: approved read\n")
    assert router.bodies(APPROVE) == []


def test_where_nobody_can_be_asked_nothing_is_approved(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "approve") == 1
    said = capsys.readouterr()
    assert '+  "title"' in said.out
    assert "give --yes" in said.err
    assert router.bodies(APPROVE) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approve", "fils"), "fils: there is no such instance. Did you mean files?"),
        (("approve", "files", "gon"), "there is no such tool that waits for approval in files."),
        (("pins", "files", "gone"), "tools pins takes an instance and no more"),
        (("files", "a", "b"), "b: tools shows one tool at a time"),
        (("files", "send"), "there is no such tool in files"),
    ],
)
def test_what_makes_no_sense_is_said(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(router, *words, "--yes") == 1
    assert said in capsys.readouterr().err


def test_a_quarantined_tool_is_not_called_unknown(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    row = SEND | {"tool": "send"}
    router.answer("GET /api/pins", PINS | {"tools": [row]})
    assert run(router, "files", "send") == 1
    way_out = "send: is quarantined in files; run: mcp-router tools approve files"
    assert way_out in capsys.readouterr().err
    router.answer("GET /api/pins", PINS | {"tools": [], "problem": "pins.json cannot be read"})
    assert run(router, "files", "send") == 1
    assert "send: is quarantined in files: pins.json cannot be read" in capsys.readouterr().err
    router.answer("GET /api/pins", {}, 404)
    assert run(router, "files", "send") == 1
    assert "there is no such tool" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem": "pins.json cannot be understood"}, "pins.json cannot be understood"),
        ({"pinning": "off"}, "so no tool needs approval"),
    ],
)
def test_where_nothing_can_be_approved_the_reason_is_said(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    router.answer("GET /api/pins", PINS | changes)
    assert run(router, "approve", "--yes") == 1
    assert said in capsys.readouterr().err
    assert run(router, "pins") == int("problem" in changes)


def test_where_nothing_waits_that_is_said(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("GET /api/pins", PINS | {"tools": []})
    assert run(router, "approve") == 0
    assert capsys.readouterr().out == "Nothing waits for approval.\n"


OF_BOB: Final = "files#person:https%3A%2F%2Fidp%20bob"


@pytest.mark.parametrize(("asked", "tools"), [("files", [SEND, GONE]), (OF_BOB, [])])
def test_the_part_of_a_person_is_approved_by_its_name(
    router: FakeRouter, asked: str, tools: list[Any]
) -> None:
    router.answer(
        "GET /api/pins", PINS | {"tools": [SEND, GONE, OTHER, SEND | {"instance": OF_BOB}]}
    )
    of_bob = "POST /api/instances/files%23person%3Ahttps%253A%252F%252Fidp%2520bob/tools/approve"
    router.answer(of_bob, {"status": "success", "instance": OF_BOB})
    assert run(router, "approve", asked, "--yes") == 0
    assert router.bodies(of_bob) == [{"tools": {SEND["tool"]: "bb" * 32}}]
    bodies = router.bodies(APPROVE)
    assert bodies == ([{"tools": {SEND["tool"]: "bb" * 32, "gone": None}}] if tools else [])
