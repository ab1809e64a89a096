"""`mcp-router connect`: where it finds the router, and what it refuses."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from router.app.listening.local_port import local_port
from router.app.listening.local_socket import local_socket
from router.cli.main import main
from router.cli.running import connect_command
from router.cli.running.connect_command import add_arguments
from router.files import local_ports
from router.files.local_sockets import has_local_sockets

if TYPE_CHECKING:
    from pathlib import Path

    from transports.bridge.endpoint import Endpoint


def endpoint_for(*words: str) -> tuple[Endpoint, str]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return connect_command._remote_endpoint(parser.parse_args(words))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--view", "a/b"], "--view: expected "),
        (["--url", "ftp://x"], "--url: expected a URL such as http://127.0.0.1:3000/mcp, got"),
        (["--url", "http://x/ y"], "--url: expected a URL"),
        (["--url", "http://[", "--view", "x"], "--url: expected a URL"),
        (["--url", "http://a..b/mcp"], "--url: expected a URL"),
        (["--url", "http://x", "--token", "é"], "--token: expected printable ASCII"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    home: Path, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["connect", *words]) == 1
    shown = capsys.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert line.startswith(f"mcp-router: {problem}")


@pytest.mark.parametrize(
    ("words", "authority", "path"),
    [
        (["--url", "https://mcp.test"], "mcp.test", "/mcp"),
        (["--url", "http://me@[::1]:3000/mcp/"], "[::1]:3000", "/mcp"),
        (["--url", "http://x/team/mcp", "--view", "工作"], "x", "/team/mcp/%E5%B7%A5%E4%BD%9C"),
        (["--url", "http://x/mcp?key=1", "--view", "a"], "x", "/mcp/a?key=1"),
    ],
)
def test_place_elsewhere_is_that_of_the_url_and_the_view(
    home: Path, words: list[str], authority: str, path: str
) -> None:
    endpoint, how = endpoint_for(*words)
    assert (endpoint.router.authority, endpoint.path) == (authority, path)
    assert endpoint.router.headers == {}
    assert how == f"Is there a router at {words[1]}?"


def test_token_is_the_one_given_or_that_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_ROUTER_TOKEN", "env")
    for words, sent in (((), "env"), (("--token", "given"), "given")):
        endpoint, _ = endpoint_for("--url", "http://x", *words)
        assert endpoint.router.headers == {"Authorization": f"Bearer {sent}"}


@pytest.mark.skipif(not has_local_sockets(), reason="there are no Unix sockets")
async def test_router_of_the_config_is_reached_by_its_socket(home: Path) -> None:
    config = home / "config.json"
    with pytest.raises(FileNotFoundError) as caught:
        await connect_command._open_local(config)
    assert (caught.value.errno, caught.value.strerror) == (
        errno.ENOENT,
        f"no router of yours runs for {config}",
    )
    with local_socket(config, {"XDG_RUNTIME_DIR": str(home)}) as local:
        assert local is not None
        stream = await connect_command._open_local(config)
        await trio.aclose_forcefully(stream)


async def test_each_router_is_reached_by_its_own_port_and_token_where_there_are_no_sockets(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_command, "has_local_sockets", lambda: False)
    monkeypatch.setattr(local_ports, "state_folder", lambda: home / "state")
    config = str(home / "config.json")
    arguments = argparse.Namespace(
        command="connect", config=config, data=None, level=None, view=None
    )
    router = connect_command._local_endpoint(arguments)[0].router
    with pytest.raises(FileNotFoundError, match="no router of yours runs for"):
        await router.connect()
    seen = set[str]()
    for _ in range(2):
        with local_port(home / "config.json") as local:
            assert local is not None
            await trio.aclose_forcefully(await router.connect())
            assert f"http://{router.authority}" == local.address
            assert router.headers == {"Authorization": f"Bearer {local.token}"}
            seen.add(local.token)
    assert len(seen) == 2


def test_client_that_closes_stderr_ends_no_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as raw:
        stderr = io.TextIOWrapper(raw, write_through=True)
        monkeypatch.setattr(sys, "stderr", stderr)
        with pytest.raises(BrokenPipeError):
            stderr.write("to nobody")
        connect_command._say("waiting")
