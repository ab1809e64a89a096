"""The stdout of the bridge."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from router.messages.frames import Notification
from transports.bridge.client_output import ClientGone, ClientOutput

LINE = b'{"jsonrpc":"2.0","method":"a"}\n'


async def test_line_is_written_whole_whoever_is_cancelled() -> None:
    stdout, client = trio.testing.lockstep_stream_one_way_pair()
    output = ClientOutput(stdout)
    parts: list[bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.send, Notification("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            parts = [bytes(await client.receive_some(5)) for _ in range(7)]
    assert b"".join(parts) == LINE


async def test_after_the_cut_nothing_holds_up_the_end() -> None:
    stdout, client = trio.testing.lockstep_stream_one_way_pair()
    output = ClientOutput(stdout)
    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(_expect_gone, output)
        await trio.testing.wait_all_tasks_blocked()
        output.cut()
    await _expect_gone(output)


async def test_client_that_reads_no_more_is_gone() -> None:
    stdout, client = trio.testing.lockstep_stream_one_way_pair()
    await client.aclose()
    await _expect_gone(ClientOutput(stdout))


async def _expect_gone(output: ClientOutput) -> None:
    with pytest.raises(ClientGone):
        await output.send(Notification("a"))
