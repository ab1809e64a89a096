"""The commands that list and use what servers offer, against a REST API with fixed answers."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.cli.main import main
from tests.router.cli.rest_api.fake_router import ROW, FakeRouter, event, fake_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")

ADD: Final[dict[str, Any]] = {
    "name": "add",
    "description": "\n Add two numbers.\nAll of them.",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "integer"}},
        "required": ["a"],
    },
}
TOOLS: Final = [ADD, {"name": "读取", "description": "x\x1b[2J"}]
RESULT: Final = {"content": [{"type": "text", "text": "3"}]}


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with fake_router(ROW) as router:
        router.answer("GET /api/tools", {"files": TOOLS, "文件": [ADD]})
        router.answer("GET /api/tools/files", TOOLS)
        router.answer("POST /api/call", event("result", RESULT))
        yield router


def run(router: FakeRouter, *words: str) -> int:
    return main([*words, "--url", router.url, "--token", "a-token"])


# --- tools -----------------------------------------------------------------------------------


def test_tools_are_listed_in_lines(router: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(router, "tools") == 0
    assert capsys.readouterr().out == (
        "files  add(a, b?)  Add two numbers.\n"
        "files  读取()      x\\x1b[2J\n"
        "文件   add(a, b?)  Add two numbers.\n"
    )


COSTS: Final[dict[str, Any]] = {
    "total_tokens": 12_500,
    "limit_tokens": 10_000,
    "instances": [
        {"name": "files", "tools": 11, "tokens": 12400, "new": 1},
        {"name": "文件", "tools": 1, "tokens": 100},
    ],
    "dearest": [
        {
            "instance": "files",
            "tool": "read\x1b[2J",
            "tokens": 1_250,
            "share": 0.1,
            "deny_saves": 1_250,
            "describe_saves": 300,
        }
    ],
    "views": [
        {
            "place": None,
            "kind": "auto",
            "tools": 12,
            "tokens": 12_500,
            "listed_tokens": 600,
            "reason": "search: more than 10,000 tokens",
        },
        {
            "place": "work",
            "kind": "direct",
            "tools": 1,
            "tokens": 100,
            "listed_tokens": 100,
            "reason": None,
        },
    ],
}


def test_costs_are_shown_by_tool_instance_and_view(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("GET /api/costs", COSTS)
    assert run(router, "tools", "--cost") == 0
    assert capsys.readouterr().out == (
        "TOKENS  SHARE  DESCRIBE SAVES  DEAREST TOOLS\n"
        "1,250   10.0%  300             files  read\\x1b[2J\n"
        "\n"
        "TOKENS  TOOLS  INSTANCE\n"
        "12,400  11     files\n"
        "100     1      文件\n"
        "\n"
        "LISTED  ALL TOOLS  TOOLS  VIEW\n"
        "600     12,500     12     the default (auto: search: more than 10,000 tokens)\n"
        "100     100        1      work (direct)\n"
        "\n"
        "12 tools, about 12,500 tokens\n"
        'Estimates. Under "tools" in the entry of an instance, "deny" saves all that a tool costs; '
        '"describe" with its first sentence alone saves what DESCRIBE SAVES says.\n'
    )


def test_costs_of_one_instance_and_as_json(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("GET /api/costs/files", COSTS)
    assert run(router, "tools", "files", "--cost", "--json") == 0
    assert json.loads(capsys.readouterr().out) == COSTS


def test_costs_without_tools_say_where_to_look(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("GET /api/costs", COSTS | {"dearest": []})
    assert run(router, "tools", "--cost") == 0
    assert "mcp-router status says why" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("files", "add"), ("pins",), ("approve",)])
def test_costs_are_of_all_or_of_an_instance(
    words: tuple[str, ...], router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "tools", *words, "--cost") == 1
    assert "--cost: takes an instance and no more" in capsys.readouterr().err


def test_one_tool_is_shown_with_its_arguments(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "tools", "files", "add") == 0
    said = capsys.readouterr().out
    assert "  a  integer  required\n" in said
    assert said.endswith("mcp-router call files add a=INTEGER\n")


def test_tools_as_json_are_those_of_the_router(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "tools", "files", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"files": TOOLS}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tools", "fils"), "fils: there is no such instance. Did you mean files?"),
        (("tools", "files", "ad"), "ad: there is no such tool in files. Did you mean add, 读取?"),
        (("call", "fils", "add"), "fils: there is no such instance. Did you mean files?"),
        (("call", "files", "ad"), "ad: there is no such tool in files. Did you mean add, 读取?"),
        (("resources", "fils"), "fils: there is no such instance. Did you mean files?"),
        (("prompts", "fils"), "fils: there is no such instance. Did you mean files?"),
        (("inspect", "fils"), "fils: there is no such instance. Did you mean files?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(router, *words) == 1
    assert capsys.readouterr().err == f"mcp-router: {said}\n"


# --- call ------------------------------------------------------------------------------------


def test_a_call_has_typed_arguments_and_prints_the_text(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "call", "files", "add", "a=1", "b:=2") == 0
    assert capsys.readouterr().out == "3\n"
    assert router.bodies("POST /api/call") == [
        {"instance": "files", "tool": "add", "params": {"a": 1, "b": 2}}
    ]


def test_mistakes_are_said_before_the_call(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "call", "files", "add", "b=x", "c=1") == 1
    assert capsys.readouterr().err == (
        "mcp-router: b: expected an integer\n"
        "mcp-router: c: there is no such argument. Did you mean 'a', 'b'?\n"
        "mcp-router: a: is missing\n"
    )
    assert run(router, "call", "files", "add", "a=-1") == 1
    assert "less than the minimum" in capsys.readouterr().err
    assert router.bodies("POST /api/call") == []


def test_json_prints_the_exact_result(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("POST /api/call", b'event: result\ndata: {"content":[],"n":1.10}\n\n')
    assert run(router, "call", "files", "add", "a=1", "--json") == 0
    assert capsys.readouterr().out == '{"content":[],"n":1.10}\n'


@pytest.mark.parametrize("option", ["--json", "--arguments"])
def test_arguments_may_come_from_a_file_or_from_stdin(
    router: FakeRouter, home: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (home / "arguments.json").write_text('{"a": 1}')
    assert run(router, "call", "files", "add", "b=2", option, "arguments.json") == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 5}')))
    assert run(router, "call", "files", "add", option, "-") == 0
    sent = [body["params"] for body in router.bodies("POST /api/call")]
    assert sent == [{"a": 1, "b": 2}, {"a": 5}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--json", "nosuch.json"), "--json: there is no file nosuch.json; to print JSON, put"),
        (("--arguments", "nosuch.json"), "nosuch.json: cannot be read: No such file"),
        (("--arguments", "list.json"), "list.json: expected a JSON object with the arguments"),
    ],
)
def test_a_file_that_is_no_object_is_named(
    router: FakeRouter,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    (home / "list.json").write_text("[1]")
    assert run(router, "call", "files", "add", *words) == 1
    assert said in capsys.readouterr().err


def test_a_tool_that_fails_is_an_error_of_the_command(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"content": [{"type": "text", "text": "no"}], "isError": True}
    router.answer("POST /api/call", event("result", failed))
    assert run(router, "call", "files", "add", "a=1") == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no\n")


def test_a_call_that_is_refused_says_why(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = {"detail": {"error": "This needs the permission 'call'", "code": "SECURITY_ERROR"}}
    router.answer("POST /api/call", detail, 403)
    assert run(router, "call", "files", "add", "a=1") == 1
    assert capsys.readouterr().err == "mcp-router: This needs the permission 'call'\n"


def test_while_its_tools_are_unknown_a_call_sends_texts(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"name": "files", "state": "starting", "connected": False, "tools_count": 0}
    router.answer("GET /api/tools/files", []).answer("GET /api/instances/files", row)
    assert run(router, "call", "files", "new", "a=1") == 0
    assert router.bodies("POST /api/call")[0]["params"] == {"a": "1"}
    assert "the tools of files (starting) are not known" in capsys.readouterr().err


def test_a_token_that_may_only_call_calls(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = {"detail": {"error": "This needs the permission 'read'", "code": "SECURITY_ERROR"}}
    router.answer("GET /api/tools/files", detail, 403)
    assert run(router, "call", "files", "add", "a:=1", "b=x") == 0
    assert router.bodies("POST /api/call")[0]["params"] == {"a": 1, "b": "x"}
    assert "this token may not read the tools" in capsys.readouterr().err


def test_data_is_saved_where_it_is_asked_for(
    router: FakeRouter, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"type": "image", "mimeType": "image/png", "data": "eA=="}
    router.answer("POST /api/call", event("result", {"content": [image]}))
    (home / "out").mkdir()
    assert run(router, "call", "files", "add", "a=1", "--save-to", "out") == 0
    assert capsys.readouterr().out == "[image/png, 1 B, saved as out/add.png]\n"
    assert (home / "out" / "add.png").read_bytes() == b"x"


# --- resources and prompts -------------------------------------------------------------------


def test_resources_are_listed_and_read(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {
        "resources": [{"uri": "a:b", "name": "b", "mimeType": "text/plain"}],
        "templates": [{"uriTemplate": "a:{x}", "name": "x", "description": "Any"}],
    }
    router.answer("GET /api/resources", {"files": lists})
    router.answer("GET /api/resources/files", lists)
    router.answer("POST /api/resources/files/read", {"contents": [{"uri": "a:b", "text": "hi"}]})
    assert run(router, "resources") == 0
    assert run(router, "resources", "files", "a:b") == 0
    assert capsys.readouterr().out == (
        "files  a:b    text/plain  b\nfiles  a:{x}  -           Any\nhi\n"
    )
    assert router.bodies("POST /api/resources/files/read") == [{"uri": "a:b"}]
    missing = {"detail": {"error": "Resource not found", "code": "INTERNAL_ERROR"}}
    router.answer("POST /api/resources/files/read", missing, 404)
    assert run(router, "resources", "files", "a:c") == 1
    assert "there is no such resource in files. Did you mean a:b?" in capsys.readouterr().err


def test_prompts_are_listed_and_filled_in(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = {
        "name": "ask",
        "description": "Ask",
        "arguments": [{"name": "text", "required": True}, {"name": "tone"}],
    }
    router.answer("GET /api/prompts", {"files": [prompt]})
    router.answer("GET /api/prompts/files", [prompt])
    message = {"role": "user", "content": {"type": "text", "text": "Well?"}}
    router.answer("POST /api/prompts/files/get", {"messages": [message]})
    assert run(router, "prompts") == 0
    assert run(router, "prompts", "files", "ask", "text=5") == 0
    assert capsys.readouterr().out == "files  ask(text, tone?)  Ask\nuser:\nWell?\n"
    assert router.bodies("POST /api/prompts/files/get") == [
        {"name": "ask", "arguments": {"text": "5"}}
    ]
    assert run(router, "prompts", "files", "ask", "txt=5") == 1
    assert "text: is missing" in capsys.readouterr().err
    assert run(router, "prompts", "files", "aks") == 1
    assert "there is no such prompt in files. Did you mean ask?" in capsys.readouterr().err
