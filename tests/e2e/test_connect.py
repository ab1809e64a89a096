"""`mcp-router connect`: clients on stdio that share one router, and outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchmarks.internals.imports import imports_in, unwanted
from router.messages.errors import SESSION_LOST
from tests.e2e.client_2026 import request, tool_call
from tests.e2e.processes import kill_all, router_command
from tests.e2e.raw_client import HELLO, StdioRouter
from tests.e2e.sdk_client import HANDSHAKE, Seen, call, call_text, run, tool_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.workspace import Workspace

REACHED: Final = r"Commands of this user reach the router at "


def bridge_command(workspace: Workspace, *words: str) -> list[str]:
    return router_command("connect", "-c", str(workspace.config_file), *words)


@asynccontextmanager
async def connected(workspace: Workspace, seen: Seen) -> AsyncIterator[Client]:
    """The SDK's client, with the bridge as its server."""
    command, *args = bridge_command(workspace)
    # The SDK hands on few variables.
    env = {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    params = StdioServerParameters(command=command, args=args, env=env)
    with (workspace.path / "stderr.txt").open("a") as errlog:
        over = stdio_client(params, errlog)
        async with Client(over, mode=HANDSHAKE, message_handler=seen.take) as client:
            yield client


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
def test_sdk_client_goes_on_through_a_restart_and_a_crash_of_the_router(
    workspace: Workspace,
) -> None:
    workspace.add_chaos("plain")
    routers = [workspace.serve("api")]
    first = routers[0]
    first.stderr.wait_for(REACHED)

    def start() -> None:
        router = workspace.serve("api")
        router.stderr.wait_for(REACHED)
        routers.append(router)

    async def scenario() -> None:
        seen, progress = Seen(), anyio.Event()

        async def note_progress(*_: Any) -> None:
            progress.set()
            await anyio.lowlevel.checkpoint()

        async with connected(workspace, seen) as client:
            assert "mcp.router.call" in await tool_names(client)
            assert await call_text(client, "plain", "echo", text="one") == "one"
            # A restart: what is asked meanwhile waits, and the client hears that lists change.
            assert await anyio.to_thread.run_sync(first.stop) == 0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, start)
                assert await call_text(client, "plain", "echo", text="two") == "two"
            await seen.wait_for(types.ToolListChangedNotification)
            # A crash: the call that was under way is one error, and all goes on.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fail_with_the_router, client, note_progress)
                await progress.wait()
                children = routers[-1].children()
                routers[-1].popen.send_signal(signal.SIGKILL)
                await anyio.to_thread.run_sync(routers[-1].wait)
                kill_all(children)
            await anyio.to_thread.run_sync(start)
            assert await call_text(client, "plain", "echo", text="three") == "three"

    try:
        run(scenario)
    finally:
        for router in routers:
            with router:
                pass


async def fail_with_the_router(client: Client, note_progress: Any) -> None:
    with pytest.raises(MCPError) as raised:
        await call(client, "plain", "hang", {"label": "x"}, progress_callback=note_progress)
    assert raised.value.error.code == SESSION_LOST
    assert "it was not sent again" in raised.value.error.message


def test_client_of_2026_is_bridged_and_the_bridge_ends_with_it(workspace: Workspace) -> None:
    workspace.add_chaos("plain")
    with workspace.serve("http") as router:
        router.stderr.wait_for(REACHED)
        for words in ([], ["--url", router.url("/mcp")]):
            with StdioRouter(bridge_command(workspace, *words)) as bridge:
                bridge.send(**request("server/discover", 1))
                assert "2026-07-28" in bridge.answer_to(1)["result"]["supportedVersions"]
                bridge.send(**tool_call("plain", "echo", {"text": "hi"}, 2))
                bridge.end_stdin()
                assert bridge.answer_to(2)["result"]["content"][0]["text"] == "hi"
                assert bridge.popen.wait(30) == 0


def test_without_a_router_it_says_how_to_start_one_and_ends_on_sigterm(
    workspace: Workspace,
) -> None:
    config = workspace.config_file
    with StdioRouter(bridge_command(workspace), stderr=subprocess.PIPE) as bridge:
        bridge.send(id=1, method="initialize", params=HELLO)
        assert bridge.popen.stderr is not None
        with bridge.popen.stderr as stderr:
            assert stderr.readline().decode() == (
                "mcp-router: connect: waiting for the router (no router of yours runs for "
                f"{config}). Start it with `mcp-router serve -c {config}`\n"
            )
            bridge.popen.send_signal(signal.SIGTERM)
            assert stderr.read() == b""
        assert bridge.popen.wait(30) == 0


def test_bridge_imports_nothing_heavy(workspace: Workspace) -> None:
    python, *words = bridge_command(workspace)
    done = subprocess.run(
        [python, "-X", "importtime", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    modules = imports_in(done.stderr.decode(errors="replace"))
    assert "transports.bridge.bridge" in {one.name for one in modules}
    assert not unwanted(modules)
