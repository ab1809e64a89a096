"""The actor around the real core, in memory and on a mock clock."""

from typing import Any

import trio
from msgspec import Raw

from router.access.request_state_seal import ProcessSeal
from router.core.core import Core
from router.messages.core_settings import CoreSettings
from router.messages.events import (
    ClientClosed,
    ClientOpened,
    Drain,
    FromClient,
    FromSession,
    InstancesChanged,
)
from router.messages.frames import Request, Response
from supervisors.child import Starting
from tests.router.dispatch.running_actor import SPEC, content, mailbox, session_up, start_actor

CALL = Raw(b'{"name":"mcp.router.call","arguments":{"instance_name":"a","tool_name":"echo"}}')


async def test_a_call_goes_through_and_times_out_on_time(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, upstream), (outbox, _), (reply, answers) = mailbox(), mailbox(), mailbox()
    actor = await start_actor(nursery, Core(CoreSettings("1", timeout_s=30.0), ProcessSeal()))
    await actor.happens(
        InstancesChanged((SPEC,)),
        Starting("a"),
        session_up(inbox),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", CALL), reply),
    )
    assert actor.sent_commands() == ["StartChild a"]
    (sent,) = content(upstream)
    await actor.happens(FromSession(1, Response(sent.id, Raw(b"{}"))))
    assert content(answers) == [Response(1, Raw(b"{}"))]
    await actor.happens(FromClient("c", Request(2, "tools/call", CALL), reply))
    sent_at_s = trio.current_time()
    with trio.fail_after(60):
        answer = await answers.receive()
    assert answer.id == 2
    assert b"Timeout exceeded: 30s" in bytes(answer.result)
    assert 30.0 <= trio.current_time() - sent_at_s <= 30.25
    assert [frame.method for frame in content(upstream)] == [
        "tools/call",
        "notifications/cancelled",
    ]


async def test_a_slow_reader_is_closed_and_its_calls_are_cancelled_after_they_were_sent(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, upstream), (outbox, listener), (full, waiting) = mailbox(), mailbox(), mailbox(0)
    actor = await start_actor(nursery, Core(CoreSettings("1"), ProcessSeal()))
    use = Raw(b'{"name":"mcp.router.use","arguments":{"instance_name":"a"}}')
    await actor.happens(
        InstancesChanged((SPEC,)),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", use), full),
        FromClient("c", Request(2, "tools/call", CALL), mailbox()[0]),
        Starting("a"),
        session_up(inbox),
    )
    assert [frame.method for frame in content(upstream)] == [
        "tools/call",
        "notifications/cancelled",
    ]
    assert content(waiting) == ["end"]
    assert content(listener)[-1] == "end"


async def test_drain_is_answered_when_the_last_client_is_gone(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, _), (outbox, _), (reply, _), (drained, got) = (mailbox() for _ in range(4))
    actor = await start_actor(nursery, Core(CoreSettings("1"), ProcessSeal()))
    await actor.happens(
        InstancesChanged((SPEC,)),
        Starting("a"),
        session_up(inbox),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", CALL), reply),
        Drain(drained),
    )
    assert content(got) == []
    await actor.happens(ClientClosed("c"))
    assert content(got) == [None]
