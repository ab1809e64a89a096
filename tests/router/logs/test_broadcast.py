"""The log as others follow it: bounded, and never waiting for a reader."""

from __future__ import annotations

import logging

import pytest

from router.logs.broadcast import BACKLOG_LINES, MAX_CHARACTERS, QUEUE_LINES, Broadcast


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast(lambda text: f"note: {text}")


def _nothing() -> None:
    pass


def test_backlog_is_the_last_lines(broadcast: Broadcast) -> None:
    for number in range(BACKLOG_LINES + 3):
        broadcast.put(logging.INFO, str(number))
    lines = broadcast.follow(logging.DEBUG, _nothing).take()
    assert lines == [str(number) for number in range(3, BACKLOG_LINES + 3)]


def test_backlog_is_bounded_in_characters_too(broadcast: Broadcast) -> None:
    for _ in range(5):
        broadcast.put(logging.INFO, "x" * (MAX_CHARACTERS // 2))
    assert len(broadcast.follow(logging.DEBUG, _nothing).take()) == 2


def test_slow_reader_loses_the_oldest_lines_and_is_told_how_many(broadcast: Broadcast) -> None:
    follower = broadcast.follow(logging.DEBUG, _nothing)
    for number in range(QUEUE_LINES + 7):
        broadcast.put(logging.INFO, str(number))
    note, first, *_ = follower.take()
    assert note == "note: 7 records were dropped here: they were read too slowly"
    assert first == "7"
    broadcast.put(logging.INFO, "next")
    assert follower.take() == ["next"]


def test_lines_below_the_level_are_left_out(broadcast: Broadcast) -> None:
    broadcast.put(logging.INFO, "a")
    follower = broadcast.follow(logging.WARNING, _nothing)
    broadcast.put(logging.INFO, "b")
    broadcast.put(logging.WARNING, "c")
    assert follower.take() == ["c"]


def test_follower_is_woken_once_between_two_takes(broadcast: Broadcast) -> None:
    woken: list[int] = []
    follower = broadcast.follow(logging.DEBUG, lambda: woken.append(1))
    for _ in range(3):
        broadcast.put(logging.INFO, "x")
    assert len(woken) == 1
    follower.take()
    broadcast.put(logging.INFO, "x")
    assert len(woken) == 2


def test_backlog_wakes_at_once(broadcast: Broadcast) -> None:
    woken: list[int] = []
    broadcast.put(logging.INFO, "x")
    broadcast.follow(logging.DEBUG, lambda: woken.append(1))
    assert woken == [1]


def test_follower_that_has_left_gets_nothing(broadcast: Broadcast) -> None:
    follower = broadcast.follow(logging.DEBUG, _nothing)
    follower.close()
    follower.close()
    broadcast.put(logging.INFO, "x")
    assert follower.take() == []
