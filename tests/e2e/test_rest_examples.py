"""The examples in docs/rest.md, run as they stand there but for the port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers
from tests.e2e.processes import RouterProcess
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "a-token-for-examples"
LIMIT_S: Final = 60
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    workspace = Workspace(tmp_path_factory.mktemp("examples")).add_example()
    workspace.configure(
        api={"enabled": True, "port": 0, "enable_realtime_logs": True},
        security={"bearer_token": TOKEN},
    )
    # The entry that an example adds is a command, which the router looks for as any other program.
    with RouterProcess(["api", *workspace.words], _environment()) as router:
        router.stderr.wait_for("example is ready")
        yield f"http://{router.netloc()}"


def _blocks(language: str, url: str) -> str:
    text = (peers.ROOT / "docs" / "rest.md").read_text()
    code = "\n".join(body for kind, body in BLOCK.findall(text) if kind == language)
    assert code
    return code.replace("127.0.0.1:8001", url.removeprefix("http://"))


def _environment() -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "TOKEN": TOKEN, "PATH": path}


def _run(command: list[str], code: str) -> str:
    more: dict[str, Any] = {"env": _environment(), "input": code, "timeout": LIMIT_S, "text": True}
    done = subprocess.run(command, capture_output=True, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(url: str) -> None:
    peers.program("curl")
    code = _blocks("sh", url).replace("curl ", "curl --fail-with-body --silent --show-error ")
    said = _run([peers.program("sh"), "-e"], code)
    assert '"status":"healthy"' in said
    assert '"text":"3"' in said
    assert said.count("event: progress") == 3
    assert 'event: result\ndata: {"content":[{"text":"Counted down from 2."' in said
    assert "# The example server" in said
    assert "Summarize the following text" in said
    assert '{"status":"success","instance":"second"}' in said
    assert '"name":"example__add"' in said
    assert '"name":"example__fail"' not in said
    assert said.endswith('{"status":"success","removed":"second"}')


def test_httpx(url: str) -> None:
    said = _run([peers.python_of("sdk-2025-11-25"), "-"], _blocks("python", url))
    assert said.splitlines() == ["example ready 6", "3"]


def test_javascript(url: str) -> None:
    said = _run([peers.NODE, "--input-type=module", "-"], _blocks("js", url))
    first, second, *_ = said.splitlines()
    assert first == "3"
    assert second.startswith("Connected to MCP Router API v")
