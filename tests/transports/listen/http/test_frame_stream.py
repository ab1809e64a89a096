"""Frame streams: the frames they keep and the frames they drop."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification, Request
from tests.transports.listen.fake_actor import (
    CHANGED,
    PROGRESS,
    QUESTION,
    response,
)
from transports.listen.http import frame_stream
from transports.listen.http.frame_stream import (
    DROPPED,
    FrameStream,
    StreamResponse,
    ignore,
)
from transports.listen.http.posts.post_response import RequestOutbox
from transports.listen.serving.unread_bytes import NOBODY_READS, Peer


class Refusals(list[Request]):
    """The requests that a stream dropped."""


def numbers(one: FrameStream) -> list[int]:
    return [number for number, _ in one.take_unread()]


def large(size: int) -> Notification:
    return Notification("notifications/message", Raw(b"{%b}" % (b" " * size)))


def test_without_a_reader_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stream, "KEPT_FRAMES", 2)
    one = FrameStream(Refusals().append)
    for _ in range(5):
        one.put(PROGRESS)
    assert repr(one) == "<FrameStream 0 unread 4..5 read=3>"
    assert numbers(one) == [4, 5]


def test_streams_have_nothing_in_common() -> None:
    one, other = FrameStream(Refusals().append), FrameStream(Refusals().append)
    one.put(PROGRESS)
    other.abandon()
    assert (numbers(one), numbers(other), numbers(FrameStream(ignore))) == ([1], [], [])


def test_bytes_count_too_but_the_newest_frame_is_kept() -> None:
    one = FrameStream(Refusals().append, is_resumable=True)
    one.put(PROGRESS)
    one.put(large(frame_stream.KEPT_BYTES * 2))
    assert numbers(one) == [2]


def test_frames_that_were_read_make_room_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stream, "KEPT_FRAMES", 2)
    one = FrameStream(Refusals().append, is_resumable=True)
    one.attach(one)
    one.put(PROGRESS)
    assert numbers(one) == [1]
    for _ in range(3):
        one.put(PROGRESS)
    assert numbers(one) == [2, 3, 4]
    one.detach(one)
    one.attach(one, after=0)
    assert numbers(one) == [3, 4]


def test_reader_may_fall_behind_by_so_many_bytes() -> None:
    one = FrameStream(Refusals().append)
    one.attach(one)
    one.put(large(frame_stream.UNREAD_BYTES))
    with pytest.raises(trio.WouldBlock):
        one.put(PROGRESS)
    assert numbers(one) == [1]
    one.put(large(frame_stream.UNREAD_BYTES))


def test_position_that_was_never_reached_is_the_end() -> None:
    one = FrameStream(Refusals().append, is_resumable=True)
    one.put(PROGRESS)
    one.attach(one, after=1000)
    assert numbers(one) == []
    one.put(PROGRESS)
    assert numbers(one) == [2]


def test_other_notices_are_not_taken_for_repetitions() -> None:
    one = FrameStream(Refusals().append)
    other = Notification("notifications/prompts/list_changed")
    for frame in (CHANGED, other, CHANGED, PROGRESS, PROGRESS):
        one.put(frame)
    assert [frame for _, frame in one.take_unread()] == [CHANGED, other, PROGRESS, PROGRESS]


def test_abandoned_stream_refuses_what_it_held_and_counts_answers() -> None:
    refused = Refusals()
    one = FrameStream(refused.append, expected_answers=2)
    one.put(QUESTION)
    one.abandon()
    one.put(QUESTION)
    assert refused == [QUESTION, QUESTION]
    RequestOutbox(one, 1).close()
    assert not one.ended
    RequestOutbox(one, 2).send_nowait(response(2))
    assert one.ended
    with pytest.raises(trio.BrokenResourceError):
        one.put(response(3))


async def test_all_who_wait_see_a_change() -> None:
    one = FrameStream(Refusals().append)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.wait_changed)
            nursery.start_soon(one.wait_changed)
            await trio.testing.wait_all_tasks_blocked()
            one.put(PROGRESS)


@pytest.mark.parametrize("limit", ["UNREAD_FRAMES", "UNREAD_BYTES"])
def test_request_that_is_closed_on_a_full_stream_ends_its_response(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """The actor closes an outbox that is full, and `close` must not raise."""
    monkeypatch.setattr(frame_stream, limit, 1)
    one = FrameStream(Refusals().append, expected_answers=1)
    one.attach(one)
    outbox = RequestOutbox(one, 7)
    outbox.send_nowait(PROGRESS)
    with pytest.raises(trio.WouldBlock):
        outbox.send_nowait(PROGRESS)
    outbox.close()
    assert one.ended
    assert numbers(one) == [1]


# --- What is held ----------------------------------------------------------------------------


class Connected(Peer):
    """A connection that can be cut."""

    was_cut = False

    def cut(self) -> None:
        self.was_cut = True


async def test_frames_count_when_they_are_put_and_as_held_until_they_are_taken() -> None:
    counted: list[int] = []
    one = FrameStream(Refusals().append, count=counted.append)
    one.attach(object())
    one.put(response(1, "x" * 98))
    assert (counted, one.held_bytes) == ([100], 100)
    one.take_unread()
    assert (counted, one.held_bytes) == ([100], 0)


async def test_what_nobody_reads_goes_first_and_an_error_takes_the_place_of_an_answer() -> None:
    one = FrameStream(Refusals().append, number=3, expected_answers=1, is_resumable=True)
    one.put(response(7, "x" * 1000))
    held = one.holding("a")
    assert (held.principal, held.read_at_s, held.size_bytes) == ("a", NOBODY_READS, 1002)
    held.drop()
    assert one.held_bytes < 200
    one.attach(object(), after=0)
    ((number, frame),) = one.take_unread()
    assert number == 2
    assert isinstance(frame, ErrorResponse)
    assert (frame.id, frame.error) == (7, DROPPED)


async def test_reader_that_is_stuck_counts_from_its_last_progress_and_is_cut(
    autojump_clock: trio.abc.Clock,
) -> None:
    one = FrameStream(Refusals().append)
    peer = Connected()
    peer.progressed_at_s = -5.0
    reader = StreamResponse(one, ())
    reader.peer = peer
    one.attach(reader)
    one.put(response(7, "x" * 1000))
    assert one.holding("a").read_at_s == trio.current_time(), "it is not sending anything"
    peer.unsent_bytes = 1
    held = one.holding("a")
    assert held.read_at_s == -5.0
    held.drop()
    assert peer.was_cut
    assert one.held_bytes < 200


async def test_answer_that_is_being_decided_on_is_the_last_to_go(
    autojump_clock: trio.abc.Clock,
) -> None:
    one = FrameStream(Refusals().append)
    one.attach(object())
    one.put(response(7, "x"))
    assert one.holding("a").read_at_s == trio.current_time()
