"""Clients of other makers at a direct view: they list its names, and ask for what has them.

Every client does the same (`ASKED`), over streamable HTTP and on stdio: SDKs and FastMCP print what
they got; agent frameworks also print the tools as they would be sent to a model.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from router.core.names.direct_names import direct_name
from router.example import GUIDE
from tests.e2e import peers, real_servers
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.inspector import ERAS, asked, over
from tests.e2e.processes import running_with, still_running
from tests.e2e.raw_client import HttpClient
from tests.e2e.sdk_client import BACKENDS, HANDSHAKE, Target, run, text_of, tool_names
from tests.e2e.workspace import CHAOS, CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess

ODD: Final = "图书_and_a_name_that_is_longer_than_any_direct_name_can_be"
"""An instance of which no direct name can hold the name."""

ASKED: Final = {
    "text": "zażółć 图书",
    "echo": direct_name(ODD, "echo", 48),
    "count": "example__word_count",
    "resource": "example://guide",
    "prompt": "example__summarize",
}

COUNTED: Final = {"characters": 9, "words": 2, "lines": 1}

FIT_FOR_MODELS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of functions that providers of models take."""

PLAY_LIMIT_S: Final = 120.0
READY_LIMIT_S: Final = 40.0


@attrs.frozen
class Place:
    """A place for clients to connect to, and the names that its direct view lists.

    Attributes:
        tools: the direct names of all tools.
    """

    address: list[str]
    workspace: Workspace
    router: RouterProcess | None
    tools: list[str]


def _direct_workspace(folder: Path) -> Workspace:
    workspace = Workspace(folder)
    workspace.configure(server=CONFIG["server"] | {"view": "direct", "drain_s": 1})
    odd = {"name": ODD, "command": sys.executable, "args": ["-B", str(CHAOS), "plain", str(folder)]}
    (folder / "data" / "odd").mkdir()
    (folder / "data" / "odd" / "mcp_settings.json").write_text(json.dumps(odd))
    return workspace.add_example()


def _names_when_complete(router: RouterProcess, expected: set[str]) -> list[str]:
    """Wait until a direct view lists all that is expected; return all names that it lists."""
    ends_at_s = time.monotonic() + READY_LIMIT_S
    with closing(HttpClient(router.url("/mcp"))) as client:
        client.initialize()
        while True:
            _, body = client.post({"id": 1, "method": "tools/list"})
            names = [tool["name"] for tool in json.loads(body)["result"]["tools"]]
            if expected <= set(names):
                return names
            assert time.monotonic() < ends_at_s, expected - set(names)
            time.sleep(0.05)  # A change of a list is seen by asking for it.


def _direct_names(**tools: set[str]) -> set[str]:
    return {direct_name(name, tool, 48) for name, own in tools.items() for tool in own}


SMALL: Final = _direct_names(**{ODD: {"echo"}, "example": real_servers.TOOLS["example"]})
LARGE: Final = SMALL | _direct_names(
    everything=real_servers.TOOLS["everything"] | real_servers.TOOLS_FOR_CAPABLE_CLIENTS,
    filesystem=real_servers.TOOLS["filesystem"],
)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A router with large servers too, whose schemas have much in them."""
    workspace = _direct_workspace(tmp_path_factory.mktemp("direct-http"))
    everything = [*real_servers.npm_server("server-everything"), "stdio"]
    files = [*real_servers.npm_server("server-filesystem"), str(workspace.path)]
    workspace.add_command("everything", *everything).add_command("filesystem", *files)
    with workspace.serve("http") as router:
        names = _names_when_complete(router, LARGE)
        yield Place(["http", router.url("/mcp")], workspace, router, names)


@pytest.fixture(scope="module")
def stdio(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder in which a router has run, so that the next one lists everything at once."""
    workspace = _direct_workspace(tmp_path_factory.mktemp("direct-stdio"))
    with workspace.serve("http") as router:
        names = _names_when_complete(router, SMALL)
    return Place(["stdio", *workspace.stdio_command], workspace, None, names)


@pytest.fixture(params=["http", "stdio"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


# --- What is checked of each -----------------------------------------------------------------


def _check(saw: dict[str, Any], place: Place) -> None:
    assert saw["tools"] == place.tools
    assert saw["echo"] == ASKED["text"]
    assert saw["count"] == COUNTED
    assert saw["resource"] == GUIDE
    assert saw["prompt"].endswith(f"sentences.\n\n{ASKED['text']}")
    assert ASKED["prompt"] in saw["prompts"]
    assert ASKED["resource"] in saw["resources"]


def _check_sent_to_models(saw: dict[str, Any], place: Place) -> None:
    """Check the tools as they would be sent to a model."""
    assert [tool["name"] for tool in saw["sent"]] == place.tools
    for tool in saw["sent"]:
        assert FIT_FOR_MODELS.fullmatch(tool["name"])
        assert tool["parameters"]["type"] == "object"


def _play(command: list[str], place: Place, **env: str) -> dict[str, Any]:
    """Have a client do what is asked; return the JSON that it prints."""
    played = subprocess.run(
        [*command, *place.address],
        env=os.environ | {"ASKED": json.dumps(ASKED)} | env,
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    if place.router is not None:
        assert played.stderr == ""  # No client complains of a name or a schema.
    else:
        assert not still_running(running_with(str(place.workspace.path)), limit_s=15.0)
    return json.loads(played.stdout)


# --- SDKs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "mode", "backend"),
    [
        *[("http", mode, backend) for mode in (HANDSHAKE, REVISION_2026) for backend in BACKENDS],
        ("stdio", HANDSHAKE, "asyncio"),
        ("stdio", REVISION_2026, "trio"),
    ],
    indirect=["place"],
)
def test_python_sdk_does_all_of_it(mode: str, backend: str, place: Place) -> None:
    text = {"text": ASKED["text"]}

    async def scenario() -> None:
        target = Target(place.address[0], place.workspace, place.router, mode)
        async with target.connect() as client:
            saw: dict[str, Any] = {"tools": await tool_names(client)}
            saw["echo"] = text_of(await client.call_tool(ASKED["echo"], text))
            saw["count"] = (await client.call_tool(ASKED["count"], text)).structured_content
            (contents,) = (await client.read_resource(ASKED["resource"])).contents
            saw["resource"] = contents.model_dump()["text"]
            (message,) = (await client.get_prompt(ASKED["prompt"], text)).messages
            saw["prompt"] = message.content.model_dump()["text"]
            saw["prompts"] = [prompt.name for prompt in (await client.list_prompts()).prompts]
            saw["resources"] = [one.uri for one in (await client.list_resources()).resources]
            _check(saw, place)

    run(scenario, backend)


def test_npm_sdk_1_does_all_of_it(place: Place) -> None:
    _check(_play(peers.node_script("sdk1.mjs"), place), place)


@pytest.mark.parametrize(
    ("place", "era"),
    [("http", "legacy"), ("http", "modern"), ("stdio", "modern")],
    indirect=["place"],
)
def test_npm_client_2_does_all_of_it(era: str, place: Place) -> None:
    asked = {"modern": REVISION_2026}.get(era, era)
    saw = _play(peers.node_script("client2.mjs"), place, ERA=asked)
    assert saw["era"] == era
    _check(saw, place)


def test_fastmcp_does_all_of_it(place: Place) -> None:
    command = [peers.python_of("agents"), str(peers.SOURCES / "client_fastmcp.py")]
    _check(_play(command, place), place)


@pytest.mark.parametrize("era", ERAS)
def test_inspector_does_it_in_each_era(era: str, http: Place) -> None:
    assert http.router is not None
    target = [*over(http.router, "http"), "--protocol-era", era]
    listed = asked(target, "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == http.tools
    text = ["--tool-arg", f"text={ASKED['text']}"]
    called = asked(target, "tools/call", "--tool-name", ASKED["count"], *text)
    assert called["structuredContent"] == COUNTED
    read = asked(target, "resources/read", "--uri", ASKED["resource"])
    assert read["contents"][0]["text"] == GUIDE
    text = ["--prompt-args", f"text={ASKED['text']}"]
    got = asked(target, "prompts/get", "--prompt-name", ASKED["prompt"], *text)
    assert got["messages"][0]["content"]["text"].endswith(ASKED["text"])


# --- Agents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venv", "client"),
    [("agents", "openai_agents"), ("agents", "pydantic_ai"), ("langchain", "langchain")],
)
def test_agents_can_send_every_tool_to_a_model(venv: str, client: str, place: Place) -> None:
    command = [peers.python_of(venv), str(peers.SOURCES / f"client_{client}.py")]
    saw = _play(command, place)
    _check(saw, place)
    _check_sent_to_models(saw, place)
