"""Servers on SDKs of each handshake revision, over every transport that the revision has."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from tests.e2e import peers, real_servers
from tests.e2e.ports import free_port
from tests.e2e.sdk_client import Target, call, call_text, listed_when, run, text_of
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
TRANSPORTS: Final = ("stdio", "sse", "http")
UPSTREAMS: Final = [
    f"{transport}-{revision}"
    for revision in REVISIONS
    for transport in TRANSPORTS
    if (revision, transport) != ("2024-11-05", "http")
]
"""Transport and revision; the oldest had no streamable HTTP."""

IN_ORDER: Final = [name for name in UPSTREAMS if name not in {"http-2025-03-26", "http-2025-06-18"}]
"""Those that send progress where its answer comes. The others send it on the stream that belongs
to no request, so it may come after the answer, or be lost while that stream is being opened."""

READY_LIMIT_S: Final = 60.0


def _command(revision: str, *words: str) -> list[str]:
    script = peers.SOURCES / "old_server.py"
    return [peers.python_of(f"sdk-{revision}"), "-B", str(script), *words]


def _add(workspace: Workspace, upstream: str, stack: ExitStack) -> None:
    transport, _, revision = upstream.partition("-")
    if transport == "stdio":
        workspace.add_command(upstream, *_command(revision, "stdio"))
    else:
        port = free_port()
        command = _command(revision, transport, str(port))
        stack.enter_context(real_servers.listening(command, "running on http://"))
        path = {"http": "mcp", "sse": "sse"}[transport]
        workspace.add(upstream, type=transport, url=f"http://127.0.0.1:{port}/{path}")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One router in front of all these servers."""
    workspace = Workspace(tmp_path_factory.mktemp("old"))
    with ExitStack() as stack:
        for upstream in UPSTREAMS:
            _add(workspace, upstream, stack)
        yield Target("http", workspace, stack.enter_context(workspace.serve("http")))


async def _ready(client: Client, upstream: str) -> None:
    with anyio.fail_after(READY_LIMIT_S):
        await listed_when(client, upstream, lambda row: row["state"] == "ready")


@pytest.mark.parametrize("revision", REVISIONS)
def test_complaints_about_the_question_for_the_revision_are_not_logged(
    revision: str, old: Target
) -> None:
    async def scenario() -> None:
        async with old.connect() as client:
            await _ready(client, f"stdio-{revision}")

    run(scenario)
    assert old.router is not None
    old.router.stderr.wait_for(f"stdio-{revision} - INFO - Processing request of type")
    lines = old.router.stderr.text.splitlines()
    logged = [line for line in lines if f".stdio-{revision} - " in line]
    assert not any("validat" in line or "server/discover" in line for line in logged)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_server_of_an_older_revision_answers_as_ever(upstream: str, old: Target) -> None:
    async def scenario() -> None:
        async with old.connect() as client:
            await _ready(client, upstream)
            assert await call_text(client, upstream, "greet", name="Zo\u00eb") == "Hello, Zo\u00eb!"
            (image,) = (await call(client, upstream, "picture")).content
            assert base64.b64decode(image.data).startswith(b"\x89PNG")
            failed = await call(client, upstream, "fail")
            assert failed.is_error
            assert "on purpose" in text_of(failed)

    run(scenario)


@pytest.mark.parametrize("upstream", IN_ORDER)
def test_progress_of_an_older_server_reaches_the_caller(upstream: str, old: Target) -> None:
    async def scenario() -> None:
        seen: list[float] = []
        complete = anyio.Event()

        async def note(progress: float, *_: Any) -> None:
            seen.append(progress)
            if len(seen) == 2:
                complete.set()
            await anyio.lowlevel.checkpoint()

        async with old.connect() as client:
            await _ready(client, upstream)
            done = await call(client, upstream, "steps", progress_callback=note)
            assert text_of(done) == "done"
            await complete.wait()  # the SDK runs callbacks in tasks of their own
            assert sorted(seen) == [1.0, 2.0]

    run(scenario)
