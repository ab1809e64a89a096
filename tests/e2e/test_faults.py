"""Upstreams that die, never start or never answer, and that nobody else notices.

The promises are those of a supervised router: what was in flight on a dead server fails with its
own error, nothing is retried by itself, and the next call meets the restarted server.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from mcp import MCPError

from router.messages.errors import SESSION_LOST
from tests.e2e import real_servers
from tests.e2e.forwarding import forwarding
from tests.e2e.ports import free_port
from tests.e2e.raw_client import HttpClient
from tests.e2e.sdk_client import (
    Target,
    call,
    call_text,
    error_of,
    listed,
    listed_when,
    run,
    text_of,
    value_of,
)
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from mcp import Client

    from tests.e2e.processes import RouterProcess

TOLD_LIMIT_S: Final = 10.0
"""For a client to be told what happened: the promise is 1 s, but this machine may be busy."""

BACK_LIMIT_S: Final = 60.0
"""For a restarted server to answer: the promise is 2 s."""

SHORT_TIMEOUT_S: Final = 1


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router before well-behaved and broken upstreams."""
    workspace = Workspace(tmp_path_factory.mktemp("chaos"))
    for mode in ("plain", "noisy", "exit", "garbage", "silent", "reversed"):
        workspace.add_chaos(mode, mode)
    workspace.add_chaos("victim")
    workspace.add_command("missing", str(workspace.path / "no-such-program"))
    with workspace.serve() as router:
        yield Target("http", workspace, router)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router that gives every call a second."""
    workspace = Workspace(tmp_path_factory.mktemp("impatient"))
    workspace.configure(mcp_client={"timeout": SHORT_TIMEOUT_S})
    workspace.add_chaos("plain").add_chaos("silent", "silent")
    with workspace.serve("http") as router:
        yield Target("http", workspace, router)


# --- Death in a call -------------------------------------------------------------------------


async def _killed_in_a_call(
    client: Client, hang: Callable[..., Awaitable[Any]]
) -> tuple[str, str, Any]:
    """Kill the victim while `hang` is in flight.

    Returns its process before and after, and the outcome of the call.
    """
    before = await call_text(client, "victim", "pid")
    begun, outcome = anyio.Event(), []

    async def note(*_: Any) -> None:
        begun.set()
        await anyio.lowlevel.checkpoint()

    async def caller() -> None:
        try:
            outcome.append(await hang(progress_callback=note))
        except MCPError as error:
            outcome.append(error.error)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await begun.wait()
        os.kill(int(before), signal.SIGKILL)
        tasks.cancel_scope.deadline = anyio.current_time() + TOLD_LIMIT_S
    assert outcome, "Nobody told the caller"
    with anyio.fail_after(BACK_LIMIT_S):
        after = await call_text(client, "victim", "pid")
    return before, after, outcome[0]


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_killed_server_fails_its_call_and_answers_the_next(transport: str, chaos: Target) -> None:
    target = Target(transport, chaos.workspace, chaos.router)

    async def scenario() -> None:
        async with target.connect() as client:

            async def hang(**more: Any) -> Any:
                return await call(client, "victim", "hang", **more)

            restarts = (await listed(client))["victim"]["restarts"]
            before, after, result = await _killed_in_a_call(client, hang)
            message, code = error_of(result)
            assert code == "SESSION_LOST"
            assert "'victim'" in message
            assert before != after
            assert (await listed(client))["victim"]["restarts"] == restarts + 1

    run(scenario)


def test_call_by_its_own_name_fails_with_the_code_of_a_lost_session(chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:

            async def hang(**more: Any) -> Any:
                return await client.call_tool("hang", {}, **more)

            await client.call_tool("mcp.router.use", {"instance_name": "victim"})
            before, after, error = await _killed_in_a_call(client, hang)
            assert error.code == SESSION_LOST
            assert before != after
            assert text_of(await client.call_tool("echo", {"text": "back"})) == "back"

    run(scenario)


def test_death_of_a_server_leaves_calls_to_others_alone(chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client, chaos.connect() as other:
            bystander = await call_text(other, "plain", "pid")
            begun = anyio.Event()

            async def note(*_: Any) -> None:
                begun.set()
                await anyio.lowlevel.checkpoint()

            async def wait() -> None:
                await call(other, "plain", "hang", {"label": "wait"}, progress_callback=note)
                pytest.fail("A call to a healthy server has ended")

            async def hang(**more: Any) -> Any:
                return await call(client, "victim", "hang", **more)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await begun.wait()
                await _killed_in_a_call(client, hang)
                assert await call_text(other, "plain", "pid") == bystander
                tasks.cancel_scope.cancel()

    run(scenario)


# --- Servers that never come up --------------------------------------------------------------


def test_broken_servers_delay_nobody(chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:
            with anyio.fail_after(TOLD_LIMIT_S):
                assert await call_text(client, "plain", "echo", text="fine") == "fine"
                rows = await listed(client)
            assert rows["plain"]["state"] == "ready"
            for broken in ("exit", "garbage", "missing", "silent"):
                assert not rows[broken]["connected"]
            shown = value_of(await client.call_tool("mcp.router.help", {}))
            assert not shown.keys() & {"exit", "garbage", "missing", "silent"}

    run(scenario)


@pytest.mark.parametrize(
    ("instance", "says"),
    [("missing", "no-such-program"), ("exit", "the licence has expired")],
)
def test_server_that_cannot_start_says_why(instance: str, says: str, chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:
            row = await listed_when(client, instance, lambda row: row["last_error"] is not None)
            assert row["state"] in {"backoff", "starting", "failed"}
            assert says in row["last_error"]

            def is_down(row: dict[str, Any]) -> bool:
                return row["state"] in {"backoff", "failed"}

            await listed_when(client, instance, is_down)
            message, code = error_of(await call(client, instance, "echo"))
            assert code == "UNAVAILABLE"
            assert says in message

    run(scenario)


@pytest.mark.parametrize("instance", ["garbage", "silent"])
def test_server_that_never_shakes_hands_is_seen_starting(instance: str, chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:
            row = await listed_when(client, instance, lambda row: row["state"] == "starting")
            assert (row["connected"], row["tools_count"]) == (False, 0)

    run(scenario)


def test_server_that_keeps_dying_is_given_up_but_listed(chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:
            with anyio.fail_after(BACK_LIMIT_S):
                row = await listed_when(client, "exit", lambda row: row["state"] == "failed")
            # Three starts that failed alike are enough for a server that never was ready.
            assert row["restarts"] >= 2
            assert "the licence has expired" in row["last_error"]

    run(scenario)


# --- Servers that do not answer --------------------------------------------------------------


def test_call_that_hangs_is_timed_out_and_cancelled_upstream(impatient: Target) -> None:
    async def scenario() -> None:
        async with impatient.connect() as client:
            message, code = error_of(await call(client, "plain", "hang", {"label": "late"}))
            assert (message, code) == ("Timeout exceeded: 1s", "TIMEOUT")
            assert await call_text(client, "plain", "await_cancelled", label="late") == "cancelled"

    run(scenario)


def test_hung_server_is_restarted(workspace: Workspace) -> None:
    workspace.configure(mcp_client={"ping_interval_s": 1})
    workspace.add_chaos("victim").add_chaos("plain")

    async def scenario() -> None:
        async with Target("http", workspace, router).connect() as client:
            before = await call_text(client, "victim", "pid")
            plain = await call_text(client, "plain", "pid")
            os.kill(int(before), signal.SIGSTOP)
            says = "victim is down .hangs: it did not answer (ping|server/discover)"
            await anyio.to_thread.run_sync(router.stderr.wait_for, says)
            with anyio.fail_after(BACK_LIMIT_S):
                assert await call_text(client, "victim", "pid") != before
            assert await call_text(client, "plain", "pid") == plain

    with workspace.serve("http") as router:
        run(scenario)


def test_call_to_a_server_that_still_starts_ends_at_its_deadline(impatient: Target) -> None:
    async def scenario() -> None:
        async with impatient.connect() as client:
            message, code = error_of(await call(client, "silent", "echo"))
            assert code == "UNAVAILABLE"
            assert "'silent' not connected: starting" in message

    run(scenario)


def test_garbage_between_answers_is_skipped(chaos: Target) -> None:
    async def scenario() -> None:
        async with chaos.connect() as client:
            for number in range(20):
                assert await call_text(client, "noisy", "echo", text=str(number)) == str(number)
            assert (await listed(client))["noisy"]["restarts"] == 0

    run(scenario)


# --- Remote servers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transport", "kind", "path"), [("streamableHttp", "http", "/mcp"), ("sse", "sse", "/sse")]
)
def test_remote_server_that_was_restarted_answers_again(
    transport: str, kind: str, path: str, workspace: Workspace
) -> None:
    """The new process knows nothing of the session that the old one had.

    The new process runs before the old one ends: a router gives up a server after five failures.
    """
    port = free_port()
    workspace.add("remote", type=kind, url=f"http://127.0.0.1:{port}{path}")

    async def is_back(client: Client) -> None:
        while True:
            result = await call(client, "remote", "echo", {"message": "hi"})
            if not result.is_error:
                assert text_of(result) == "Echo: hi"
                return
            await anyio.sleep(0.05)  # while it is down, the errors come at once

    async def scenario(router: RouterProcess, old: ExitStack, new: int) -> None:
        async with Target("http", workspace, router).connect() as client:
            with anyio.fail_after(BACK_LIMIT_S):
                await listed_when(client, "remote", lambda row: row["state"] == "ready")
                await is_back(client)
            await anyio.to_thread.run_sync(old.close)
            await anyio.to_thread.run_sync(router.stderr.wait_for, "remote is down")
            with forwarding(port, new), anyio.fail_after(BACK_LIMIT_S):
                await is_back(client)

    with real_servers.remote(transport) as new, ExitStack() as old:
        old.enter_context(forwarding(port, old.enter_context(real_servers.remote(transport))))
        with workspace.serve("http") as router:
            run(lambda: scenario(router, old, new))


# --- Whose answer is it? ---------------------------------------------------------------------

CLIENTS: Final = 8
CALLS_EACH: Final = 1250


@pytest.mark.fault(35, "clients use the same ids", "none crossed")
@pytest.mark.parametrize("instance", ["plain", "reversed"])
def test_thousands_of_calls_with_the_same_ids_are_never_crossed(
    instance: str, chaos: Target
) -> None:
    assert chaos.router is not None
    url = chaos.router.url("/mcp")
    together = Barrier(CLIENTS, timeout=30)

    def client(name: int) -> int:
        http = HttpClient(url)
        http.initialize()
        together.wait()
        right = 0
        for request_id in range(CALLS_EACH):
            text = f"client {name}, request {request_id}"
            result = http.call(request_id, instance, "echo", text=text)
            right += result["content"] == [{"type": "text", "text": text}]
        http.close()
        return right

    with ThreadPoolExecutor(CLIENTS) as threads:
        assert list(threads.map(client, range(CLIENTS))) == [CALLS_EACH] * CLIENTS


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_two_clients_of_the_sdk_with_many_calls_at_once_are_never_crossed(
    transport: str, chaos: Target
) -> None:
    target = Target(transport, chaos.workspace, chaos.router)

    async def caller(client: Client, name: str, turn: int) -> None:
        for number in range(20):
            text = f"{name}-{turn}-{number}"
            assert await call_text(client, "reversed", "echo", text=text) == text

    async def scenario() -> None:
        async with (
            target.connect() as one,
            target.connect() as two,
            anyio.create_task_group() as tasks,
        ):
            for turn in range(25):
                tasks.start_soon(caller, one, "one", turn)
                tasks.start_soon(caller, two, "two", turn)

    run(scenario)
