"""The echo upstream: a small MCP server in C, which has to read JSON rightly to be of use."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.native import native

pytestmark = pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle()))


def answers_to(*lines: Any, options: tuple[str, ...] = ()) -> list[Any]:
    """Return the answers to these messages, or to texts as they are."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    done = native.run_program("echo", options, "".join(text + "\n" for text in texts))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def call(id_: Any, text: Any, tool: str = "echo") -> dict[str, Any]:
    params = {"name": tool, "arguments": {"text": text}}
    return {"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": params}


def text_of(answer: dict[str, Any]) -> str:
    return answer["result"]["content"][0]["text"]


def test_initialize_is_answered_in_the_revision_of_the_client_or_the_newest_known() -> None:
    asked = ["2025-06-18", "2025-11-25", "1999-01-01"]
    found = answers_to(
        *({"id": 1, "method": "initialize", "params": {"protocolVersion": one}} for one in asked)
    )
    assert [one["result"]["protocolVersion"] for one in found] == [*asked[:2], "2025-11-25"]


def test_ping_and_unknown_methods_are_answered_and_notifications_are_not() -> None:
    found = answers_to(
        {"id": 1, "method": "ping"},
        {"method": "notifications/initialized"},
        {"id": 9, "result": {}},
        "this is no JSON",
        "",
        {"id": 2, "method": "prompts/list"},
    )
    assert found == [
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "Method not found"}},
    ]


@pytest.mark.parametrize("number", [1, 20])
def test_it_lists_as_many_tools_as_it_is_told_to(number: int) -> None:
    (found,) = answers_to({"id": 1, "method": "tools/list"}, options=("--tools", str(number)))
    tools = found["result"]["tools"]
    assert len({tool["name"] for tool in tools}) == number
    assert tools[0]["name"] == "echo"
    assert all(400 < len(json.dumps(tool)) < 600 for tool in tools[1:])


def test_results_are_filled_up_with_dots() -> None:
    (found,) = answers_to(call(1, "hello"), options=("--result-bytes", "8"))
    assert text_of(found) == "hello..."


@pytest.mark.parametrize(
    "asked",
    [
        call(1, "hello", tool="find_files_0"),
        call(1, 5),
        {"id": 1, "method": "tools/call", "params": {"name": "echo"}},
        {"id": 1, "method": "tools/call"},
    ],
)
def test_calls_that_make_no_sense_are_errors(asked: dict[str, Any]) -> None:
    assert answers_to(asked)[0]["error"]["code"] == -32602


AROUND: list[dict[str, Any]] = [
    {},
    {"text ": "}", "more": {"id": 5, "text": "inner", "method": "ping"}, "list": [{}, [], "]"]},
    {'quoted "': '\\"', "empty": "", "numbers": [-1.5e3, True, None], "\\": {"\\": "\\"}},
]
"""Members that stand before those that the echo looks for."""


@settings(max_examples=30)
@given(st.lists(st.text(), min_size=1, max_size=20), st.booleans())
def test_any_text_and_id_come_back_whatever_stands_around_them(
    texts: list[str], escaped: bool
) -> None:
    lines: list[str] = []
    for more in AROUND:
        for text in texts:
            message = more | call(text, text)
            message["params"] = more | message["params"]
            message["params"]["arguments"] = more | {"text": text}
            lines.append(json.dumps(message, ensure_ascii=escaped))
    found = answers_to(*lines)
    assert [one["id"] for one in found] == texts * len(AROUND)
    assert [text_of(one) for one in found] == texts * len(AROUND)


def test_requests_in_pieces_and_together_are_all_answered() -> None:
    data = "".join(json.dumps(call(number, f"text {number}")) + "\n" for number in range(50))
    command = native.echo_command()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        for begin in range(0, len(data), 97):
            echo.stdin.write(data[begin : begin + 97].encode())
            echo.stdin.flush()
        echo.stdin.close()
        found = [json.loads(line) for line in echo.stdout]
    assert [text_of(one) for one in found] == [f"text {number}" for number in range(50)]


@pytest.mark.parametrize("options", [("--tools",), ("--tools", "x"), ("--tools", "-1"), ("x", "1")])
def test_options_that_are_not_understood_are_answered_with_the_usage(
    options: tuple[str, ...],
) -> None:
    done = native.run_program("echo", options)
    assert done.returncode == 2
    assert "usage: echo" in done.stderr
