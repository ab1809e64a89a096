"""The examples in docs/views.md and the README, run as they stand there but for the ports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers
from tests.e2e.processes import RouterProcess, router_command, run_command
from tests.e2e.raw_client import HttpClient, StdioRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S: Final = 60
PAGE: Final = (peers.ROOT / "docs" / "views.md").read_text(encoding="utf-8")
README: Final = (peers.ROOT / "README.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def _blocks(language: str, page: str = PAGE) -> list[str]:
    return [body for kind, body in BLOCK.findall(page) if kind == language]


def _run_program(program: str, netloc: str) -> str:
    """Run a program of the pages against a router; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=program.replace("127.0.0.1:3000", netloc),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a router with the files of the example, and the instance that is shipped."""
    folder = tmp_path_factory.mktemp("views")
    config, entry, *_ = _blocks("json")
    settings: dict[str, Any] = json.loads(config)
    for section in ("http", "sse"):
        settings["server"][section] = {"port": 0}
    settings["api"]["port"] = 0
    (folder / "config.json").write_text(json.dumps(settings))
    for name, text in (("example", _shipped_entry()), ("notes", entry)):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "mcp_settings.json").write_text(text)
    return folder


def _shipped_entry() -> str:
    return (peers.ROOT / "data" / "example" / "mcp_settings.json").read_text()


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


@pytest.fixture(scope="module")
def netloc(folder: Path) -> Iterator[str]:
    words = ["serve", "--transport", "http", "-c", str(folder / "config.json")]
    with RouterProcess(words, _environment()) as router:
        for name in ("example", "notes-home"):
            router.stderr.wait_for(f"{name} is ready")
        yield router.netloc("/mcp")


def test_each_place_lists_what_the_page_says(netloc: str) -> None:
    program, _for_the_sandbox = _blocks("python")
    (said,) = _blocks("text")
    assert _run_program(program, netloc) == said


def test_the_search_finds_what_the_page_says(netloc: str) -> None:
    _, _, _, call, said = map(json.loads, _blocks("json"))
    with closing(HttpClient(f"http://{netloc}/mcp")) as client:
        client.initialize()
        status, body = client.post({"id": 1, "method": "tools/call", "params": call})
    (content,) = json.loads(body)["result"]["content"]
    found = json.loads(content["text"])
    assert (status, found) == (200, said)


def test_the_program_in_the_readme_calls_a_tool(netloc: str) -> None:
    (program,) = _blocks("python", README)
    assert _run_program(program, netloc) == "3\n"


def test_check_says_what_the_page_says(folder: Path) -> None:
    (console,) = _blocks("console")
    command, said = console.splitlines()
    assert command == "$ mcp-router check"
    done = run_command("check", "-c", str(folder / "config.json"))
    assert done.returncode == 0
    assert said in done.stdout.splitlines()


def test_the_snippet_starts_the_view_that_it_names(folder: Path) -> None:
    entry = json.loads(_blocks("json")[2])["mcpServers"]["texts"]
    assert entry["command"].endswith("/mcp-router")
    words = [str(folder / "config.json") if "/" in word else word for word in entry["args"]]
    with StdioRouter(router_command(*words), env=_environment()) as client:
        assert client.initialize()["serverInfo"]["title"] == "Texts"
