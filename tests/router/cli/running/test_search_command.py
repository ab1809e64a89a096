"""A search from a terminal: what the router is asked, and what is printed."""

import json
from pathlib import Path
from typing import Any

import pytest

from router.cli.main import main
from router.cli.rest_api import local_router
from router.cli.rest_api.rest_client import RestApi
from tests.router.cli.rest_api.fake_router import fake_router

FOUND: dict[str, Any] = {
    "found": "2 of 9 tools",
    "tools": [
        {"name": "a__x", "description": "It\x1b.", "signature": "p: string"},
        {"name": "a__y", "description": "", "signature": ""},
    ],
}


def search(monkeypatch: pytest.MonkeyPatch, answer: Any, *words: str, **result: Any) -> list[Any]:
    """Run the command against a router that answers this; return its status and what it asked."""
    result = {"isError": False, "content": [{"type": "text", "text": json.dumps(answer)}]} | result
    with fake_router() as router:
        router.answer("POST /mcp/work", {"jsonrpc": "2.0", "id": 1, "result": result})
        monkeypatch.setattr(local_router, "find_local_router", lambda *_: RestApi(router.url))
        return [main(["search", *words, "--view", "work"]), *router.bodies("POST /mcp/work")]


def test_what_is_found_is_shown_best_first(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, body = search(monkeypatch, FOUND, "read", "a file", "--limit", "2")
    assert capsys.readouterr().out == "a__x(p: string)\n  It\\x1b.\na__y()\n\n2 of 9 tools\n"
    asked = {"query": "read a file", "limit": 2, "kind": "tool"}
    assert (status, body["params"]["arguments"]) == (0, asked)
    search(monkeypatch, FOUND, "read", "--json")
    assert json.loads(capsys.readouterr().out) == FOUND


def test_a_refusal_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(monkeypatch, {"error": "too long"}, "x", isError=True)[0] == 1
    assert "search: too long" in capsys.readouterr().err
    # In a transparent view the server answers, in words of its own.
    assert search(monkeypatch, None, "x", content=[{"type": "text", "text": "Unknown"}])[0] == 1
    assert "--view takes a profile" in capsys.readouterr().err
