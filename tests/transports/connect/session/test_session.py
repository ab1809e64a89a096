"""An upstream session, against a server in memory and on a mock clock."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing
from msgspec import Raw

from router.messages.errors import AMBIGUOUS_CLIENT, METHOD_NOT_FOUND, RpcError
from router.messages.events import (
    Barrier,
    FromSession,
    RequestFailed,
    SessionLost,
    SessionUp,
)
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.revisions import HANDSHAKE_REVISIONS
from supervisors.child import ChildSpec, Down, Restart, Starting, Up
from supervisors.supervisor import supervise
from tests.transports.connect.session.fake_upstream import (
    AUTO,
    SPEC,
    FakeUpstream,
    call,
    hello,
    load,
    log_notice,
    raw,
    refusal,
    start,
    stateless,
    tool_names,
    with_tools,
)
from transports.connect.session.frame_writer import (
    BATCH_BYTES,
    SESSION_INBOX_SIZE,
    WRITE_LIMIT_S,
)
from transports.connect.session.session import LOST_SEND_LIMIT_S, UpstreamSession
from transports.connect.wire import Failure, WireLost

if TYPE_CHECKING:
    from trio.testing import MockClock


# --- The handshake ---------------------------------------------------------------------------


async def test_it_introduces_itself_and_says_when_it_is_initialized(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
) -> None:
    upstream = FakeUpstream({"initialize": hello()})
    running = await start(nursery, upstream)
    assert upstream.asked("initialize") == [
        {
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {}, "sampling": {}, "elicitation": {}},
            "clientInfo": {"name": "mcp-router", "title": "MCP Router", "version": "2.0"},
        }
    ]
    assert upstream.frames[1:] == [Notification("notifications/initialized")]
    assert upstream.agreed == ("2025-11-25", 1)
    up = running.up
    assert up is not None
    assert (up.instance, up.session, up.instructions) == ("fake", 7, "Ask nicely")
    assert load(up.server_info) == {"name": "fake", "version": "1"}
    assert load(up.capabilities) == {}


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_an_older_revision_is_accepted(
    autojump_clock: MockClock, nursery: trio.Nursery, revision: str
) -> None:
    upstream = FakeUpstream({"initialize": hello(revision=revision)})
    running = await start(nursery, upstream)
    assert running.up is not None
    assert running.up.revision == revision


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            hello(revision="1999-01-01"),
            "speaks protocol revision 1999-01-01, which is not spoken here",
        ),
        (refusal("no\n licence"), "initialize was refused: no licence"),
        (Exception('"just no"'), 'initialize was refused: "just no"'),
        (raw([]), "initialize was answered with something else: Expected `object`, got `array`"),
        (
            raw({"protocolVersion": "2025-11-25"}),
            "initialize was answered with something else: "
            "Object missing required field `capabilities`",
        ),
    ],
)
async def test_a_failed_handshake_is_one_sentence(
    autojump_clock: MockClock, answer: Any, reason: str
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(WireLost, check=lambda lost: str(lost) == reason)):
        async with trio.open_nursery() as nursery:
            await start(nursery, FakeUpstream({"initialize": answer}))


async def test_a_wire_lost_before_it_is_up_is_not_said_to_the_actor(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
) -> None:
    inbox, told = trio.open_memory_channel[Any](1)
    upstream = FakeUpstream({"initialize": lambda _: upstream.lose("it died")})
    session = UpstreamSession(SPEC, upstream.connect, inbox, lambda: 1, "2.0")
    with pytest.raises(WireLost, match="it died"):
        await session(trio.Event())
    assert told.statistics().current_buffer_used == 0


@pytest.mark.parametrize("method", ["server/discover", "initialize", "tools/list"])
async def test_a_start_ends_at_once_where_the_server_names_the_time_of_the_next_try(
    autojump_clock: MockClock, method: str
) -> None:
    failure = Failure(RpcError(-32009, "answered 503"), 503, 7.0)

    def refuse(_: Any) -> None:
        request = upstream.frames[-1]
        assert isinstance(request, Request)
        upstream.say_failed(ErrorResponse(request.id, raw({"code": -32009})), failure)

    upstream = with_tools()
    upstream.answers[method] = refuse
    inbox, _ = trio.open_memory_channel[Any](9)
    remote = attrs.evolve(AUTO, type="http", command="", url="http://there/mcp")
    session = UpstreamSession(remote, upstream.connect, inbox, lambda: 1, "2.0")
    with trio.fail_after(60), pytest.raises(WireLost) as lost:
        await session(trio.Event())
    assert (lost.value.reason, lost.value.retry_after_s) == ("answered 503", 7.0)
    assert upstream.methods[-1] == method


async def test_each_call_is_another_incarnation(
    autojump_clock: MockClock,
) -> None:
    numbers: list[int] = []

    def new_id() -> int:
        numbers.append(len(numbers))
        return numbers[-1]

    inbox, _ = trio.open_memory_channel[Any](1)
    upstream = FakeUpstream({"initialize": refusal("no")})
    session = UpstreamSession(SPEC, upstream.connect, inbox, new_id, "2.0")
    for _ in range(2):
        with pytest.raises(WireLost):
            await session(trio.Event())
    assert numbers == [0, 1]


# --- Frames in between -----------------------------------------------------------------------


async def test_what_is_not_its_own_is_passed_on_in_order(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    frames = [
        log_notice("first"),
        Request("q", "roots/list"),
        Response(4, raw({})),
        ErrorResponse(6, raw({})),
        ErrorResponse(None, raw({})),
    ]
    upstream.say(*frames, related=4)
    await trio.testing.wait_all_tasks_blocked()
    assert running.events() == [FromSession(7, frame, 4) for frame in frames]


async def test_a_failed_request_is_told_as_such(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    session = await start(nursery, with_tools())
    failure = Failure(RpcError(-32009, "refused"), 503, 7.0)
    own = Failure(RpcError(-32009, "refused"), 500, None, is_answered=True)
    session.upstream.say_failed(ErrorResponse(2, raw({"code": -5})), failure)
    session.upstream.say_failed(ErrorResponse(4, raw({"code": -5})), own)
    session.upstream.say_failed(ErrorResponse(1, raw({"code": -5})), failure)
    await trio.testing.wait_all_tasks_blocked()
    assert session.events() == [
        RequestFailed(7, 2, failure.error, 503, 7.0),
        RequestFailed(7, 4, own.error, 500, None, ErrorResponse(4, raw({"code": -5}))),
    ]


async def test_an_answer_with_an_odd_id_never_reaches_the_actor(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    upstream.say(Response(1, hello()), Response(999, raw({})), ErrorResponse(-1, raw({})))
    await trio.testing.wait_all_tasks_blocked()
    assert running.events() == []


async def test_a_second_answer_to_the_same_question_is_dropped(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = FakeUpstream()

    def twice(_: Any) -> Raw:
        upstream.say(Response(1, hello("tools")), Response(1, raw("another")))
        return raw("a third")

    upstream.answers |= {"initialize": twice, "tools/list": raw({"tools": [{"name": "a"}]})}
    running = await start(nursery, upstream)
    assert running.up is not None
    assert tool_names(running.up) == ["a"]


async def test_ping_is_answered_here(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    upstream.say(Request("p", "ping"))
    await trio.testing.wait_all_tasks_blocked()
    assert upstream.frames[-1] == Response("p", Raw(b"{}"))
    assert running.events() == []


async def test_what_has_queued_up_is_written_in_one_go(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    calls = [call(number) for number in range(2, 100, 2)]
    for one in calls:
        running.session_inbox.send_nowait(one)
    await trio.testing.wait_all_tasks_blocked()
    assert upstream.sent[-1] == calls


async def test_large_frames_are_not_all_written_in_one_go(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    calls = [call(number, BATCH_BYTES) for number in (2, 4)]
    answer = Response("q", raw("x" * BATCH_BYTES))
    error = ErrorResponse("r", raw("x" * BATCH_BYTES))
    for frame in (*calls, answer, error):
        running.session_inbox.send_nowait(frame)
    await trio.testing.wait_all_tasks_blocked()
    assert upstream.sent[-4:] == [[calls[0]], [calls[1]], [answer], [error]]


async def test_a_session_waits_for_a_busy_actor_and_loses_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream, inbox_size=0)
    notices = [log_notice(str(number)) for number in range(5)]
    upstream.say(*notices)
    await trio.testing.wait_all_tasks_blocked()
    events = [await running.told.receive() for _ in notices]
    assert events == [FromSession(7, notice) for notice in notices]


async def test_a_full_inbox_sheds_and_a_ping_is_dropped_then(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    upstream.reads = False
    running.session_inbox.send_nowait(call(2))
    await trio.testing.wait_all_tasks_blocked()
    for number in range(SESSION_INBOX_SIZE):
        running.session_inbox.send_nowait(call(2 * number + 4))
    with pytest.raises(trio.WouldBlock):
        running.session_inbox.send_nowait(call(2))
    upstream.say(Request("p", "ping"), log_notice("still read"))
    await trio.testing.wait_all_tasks_blocked()
    assert running.events() == [FromSession(7, log_notice("still read"))]


# --- Before the actor knows of it ------------------------------------------------------------


async def test_a_question_before_it_is_up_is_refused_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")

    def ask_first(_: Any) -> Raw:
        upstream.say(Request("q", "roots/list"), log_notice("early"), Response(2, raw({})))
        return raw({"tools": [{"name": "a"}]})

    upstream.answers["tools/list"] = ask_first
    running = await start(nursery, upstream)
    (answer,) = [frame for frame in upstream.frames if isinstance(frame, ErrorResponse)]
    assert answer.id == "q"
    assert load(answer.error)["code"] == AMBIGUOUS_CLIENT
    assert running.events() == []


@pytest.mark.parametrize("room", [0, 1, 1000])
@pytest.mark.parametrize("_", range(5))  # Trio runs tasks that are ready in random order
async def test_no_frame_overtakes_the_news_that_the_session_is_up(
    autojump_clock: MockClock, nursery: trio.Nursery, room: int, _: int
) -> None:
    upstream = with_tools()
    inbox, told = trio.open_memory_channel[Any](room)
    _commands, commands_out = trio.open_memory_channel[Any](1)
    session = UpstreamSession(SPEC, upstream.connect, inbox, lambda: 7, "2.0")

    async def chatter() -> None:
        for _ in range(500):
            upstream.say(log_notice("never silent"))
            await trio.lowlevel.checkpoint()

    upstream.answers["initialize"] = lambda _: (nursery.start_soon(chatter), hello("tools"))[1]
    nursery.start_soon(supervise, [ChildSpec("fake", session)], commands_out, inbox.clone())
    with trio.fail_after(5):
        assert await told.receive() == Starting("fake")
        assert isinstance(await told.receive(), SessionUp)
        later: set[type[object]] = set()
        for _ in range(300):
            event = await told.receive()
            later.add(type(event))
            if isinstance(event, Barrier):
                event.pass_on()
    assert later == {FromSession, Up, Barrier}
    nursery.cancel_scope.cancel("the test has seen enough")


@pytest.mark.parametrize("_", range(20))  # Both orders of the send and the timeout occur
async def test_a_start_timeout_while_the_actor_is_told_loses_every_session_that_was_said_to_be_up(
    autojump_clock: MockClock, nursery: trio.Nursery, _: int
) -> None:
    upstream = with_tools()
    events, heard = trio.open_memory_channel[Any](10)
    inbox, told = trio.open_memory_channel[Any](1)
    _commands, commands_out = trio.open_memory_channel[Any](1)
    session = UpstreamSession(SPEC, upstream.connect, inbox, lambda: 7, "2.0")
    child = ChildSpec("fake", session, restart=Restart.ON_FAILURE, start_timeout_s=3)
    inbox.send_nowait("the actor is busy")
    nursery.start_soon(supervise, [child], commands_out, events)
    assert await heard.receive() == Starting("fake")

    await trio.sleep_until(trio.current_time() + 3)  # in the very moment of the timeout
    said = [told.receive_nowait()]
    nursery.start_soon(keep_receiving, told, said)
    with trio.fail_after(1):
        down = await heard.receive()
    assert isinstance(down, Down)
    assert str(down.error) == "not started within 3 s"
    # The core ignores the loss of a session that it never heard of.
    assert [type(event) for event in said[1:]] in ([SessionUp, SessionLost], [SessionLost])
    nursery.cancel_scope.cancel("the next try is another story")


@pytest.mark.parametrize(
    ("said", "cause"), [("", "no answer to initialize"), ("no licence", "no licence")]
)
async def test_a_start_that_is_cut_off_says_how_far_it_got(
    autojump_clock: MockClock, said: str, cause: str
) -> None:
    upstream = FakeUpstream({"initialize": None}, last_words=said)
    inbox, _ = trio.open_memory_channel[Any](1)
    session = UpstreamSession(SPEC, upstream.connect, inbox, lambda: 1, "2.0")
    with pytest.raises(WireLost, match=f"^{cause}$"), trio.move_on_after(60):
        await session(trio.Event())
    assert upstream.cleaned_up_at_s is not None


async def keep_receiving(told: trio.MemoryReceiveChannel[Any], said: list[Any]) -> None:
    async for event in told:
        said.append(event)  # noqa: PERF401 - read by the test while this goes on


# --- The end ---------------------------------------------------------------------------------


async def test_a_lost_wire_is_told_at_once_and_raised_after_the_clean_up(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
) -> None:
    upstream = with_tools()
    upstream.cleanup_s = 10
    running = await start(nursery, upstream)
    upstream.say(Response(2, raw({})))
    upstream.lose("exited with status 3")
    await trio.testing.wait_all_tasks_blocked()
    assert running.events() == [
        FromSession(7, Response(2, raw({}))),
        SessionLost(7, "exited with status 3"),
    ]
    assert not running.ended.is_set()
    with pytest.raises(trio.BrokenResourceError):
        running.session_inbox.send_nowait(call(4))
    await running.ended.wait()
    assert str(running.error) == "exited with status 3"
    assert running.events() == []


async def test_an_upstream_that_does_not_read_is_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    upstream.reads = False
    await trio.sleep(10 * WRITE_LIMIT_S)
    began_at_s = autojump_clock.current_time()
    running.session_inbox.send_nowait(call(2))
    await running.ended.wait()
    assert autojump_clock.current_time() - began_at_s == pytest.approx(WRITE_LIMIT_S)
    assert str(running.error) == "does not read its input"
    assert running.events() == [SessionLost(7, "does not read its input")]


async def test_a_session_returns_when_stopped(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    running = await start(nursery, with_tools())
    running.stopping.set()
    await trio.testing.wait_all_tasks_blocked()
    assert running.ended.is_set()
    assert running.error is None
    assert running.events() == [SessionLost(7, "it was stopped")]


async def test_a_session_returns_when_stopped_before_it_is_up(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stopping = trio.Event()
    inbox, told = trio.open_memory_channel[Any](1)
    upstream = FakeUpstream({"initialize": None})
    session = UpstreamSession(SPEC, upstream.connect, inbox, lambda: 1, "2.0")
    nursery.start_soon(session, stopping)
    await trio.testing.wait_all_tasks_blocked()
    stopping.set()
    await trio.testing.wait_all_tasks_blocked()
    assert upstream.cleaned_up_at_s is not None
    assert told.statistics().current_buffer_used == 0


async def test_a_cancelled_session_ends_at_once_and_still_sends_session_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    running = await start(nursery, with_tools())
    began_at_s = autojump_clock.current_time()
    running.scope.cancel()
    await running.ended.wait()
    assert autojump_clock.current_time() == began_at_s
    assert running.scope.cancelled_caught
    assert running.events() == [SessionLost(7, "it was stopped")]


async def test_cancelled_it_waits_for_an_actor_that_takes_nothing_only_so_long(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    running = await start(nursery, with_tools(), inbox_size=0)
    began_at_s = autojump_clock.current_time()
    running.scope.cancel()
    await running.ended.wait()
    assert autojump_clock.current_time() - began_at_s == pytest.approx(LOST_SEND_LIMIT_S)


async def test_without_an_actor_it_ends(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.RaisesGroup(trio.BrokenResourceError):
        async with trio.open_nursery() as nursery:
            running = await start(nursery, with_tools())
            running.told.close()
            running.upstream.lose("it died")
            await running.ended.wait()
            assert running.error is not None
            raise running.error


# --- Without sessions ------------------------------------------------------------------------


async def test_a_server_without_sessions_may_ask_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await start(nursery, upstream, spec=AUTO)
    upstream.say(Request("q", "sampling/createMessage"), Request("p", "ping"), related=2)
    await trio.testing.wait_all_tasks_blocked()
    answers = [frame for frame in upstream.frames if isinstance(frame, ErrorResponse)]
    assert [answer.id for answer in answers] == ["q", "p"]
    assert {load(answer.error)["code"] for answer in answers} == {METHOD_NOT_FOUND}
    assert running.events() == []


async def test_what_else_a_server_without_sessions_says_is_passed_on_in_order(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await start(nursery, upstream, spec=AUTO)
    frames = [
        log_notice("first"),
        Notification("notifications/of/tomorrow", raw({"any": "thing"})),
        Response(4, raw({"resultType": "input_required"})),
        ErrorResponse(6, raw({"code": -32021})),
    ]
    upstream.say(*frames, related=4)
    await trio.testing.wait_all_tasks_blocked()
    assert running.events() == [FromSession(7, frame, 4) for frame in frames]
    running.session_inbox.send_nowait(call(8))
    await trio.testing.wait_all_tasks_blocked()
    assert upstream.frames[-1] == call(8)


async def test_the_wire_is_told_the_tools_before_any_is_called(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a", "b")
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert upstream.listed == [["a", "b"]]
