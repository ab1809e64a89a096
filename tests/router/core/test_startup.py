"""Requests and commands that come before the instances are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core import startup
from router.core.startup import MAX_WAIT_S, EarlyCore
from router.messages.commands import ListInstances, Principal
from router.messages.events import (
    Abandoned,
    AdminCommand,
    CataloguesRead,
    ClientOpened,
    Drain,
    Event,
    FromClient,
    InstancesChanged,
    Tick,
)
from router.messages.frames import Notification, Request

if TYPE_CHECKING:
    from router.messages.effects import Effect

CONFIGURED = InstancesChanged(())


class FakeCore:
    """Returns each event as its only effect."""

    def __init__(self) -> None:
        self.deadline_s: float | None = None
        self.transparent: set[str] = set()

    def needs_instances(self, client_id: str) -> bool:
        return client_id in self.transparent

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        effects: list[Any] = [event]
        return effects

    def next_deadline_s(self) -> float | None:
        return self.deadline_s


class Nowhere:
    def send_nowait(self, value: Any, /) -> None: ...
    def close(self) -> None: ...


def early() -> tuple[EarlyCore, FakeCore]:
    inner: Any = FakeCore()
    return EarlyCore(inner), inner


def _asks(method: str, request_id: int = 1) -> FromClient:
    return FromClient("c", Request(request_id, method), Nowhere())


def test_handshake_and_ping_are_answered_at_once() -> None:
    core, _ = early()
    opened = ClientOpened("c", Nowhere())
    for event in (opened, _asks("initialize"), _asks("ping")):
        assert core.handle(event, 0.0) == [event]


def test_handshake_in_a_transparent_view_waits_for_its_instance() -> None:
    core, inner = early()
    inner.transparent.add("c")
    handshakes = [_asks("initialize"), _asks("server/discover")]
    assert [core.handle(event, 0.0) for event in handshakes] == [[], []]
    ping = _asks("ping")
    assert core.handle(ping, 0.0) == [ping]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, *handshakes]


def test_other_requests_are_queued_in_order_until_the_instances_are_known() -> None:
    core, _ = early()
    events = [
        FromClient("c", Notification("notifications/initialized"), Nowhere()),
        _asks("tools/list", 1),
        _asks("tools/call", 2),
    ]
    assert [core.handle(event, 0.0) for event in events] == [[], [], []]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, *events]
    assert core.handle(events[1], 2.0) == [events[1]]


def test_what_is_known_of_servers_is_handled_before_what_is_queued() -> None:
    core, _ = early()
    event, known = _asks("tools/list"), CataloguesRead({})
    assert core.handle(event, 0.0) == []
    assert core.handle(known, 1.0) == [known]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, event]


def test_once_the_instances_are_known_it_stands_between_the_actor_and_the_core_no_more() -> None:
    core, inner = early()
    core.handle(CONFIGURED, 1.0)
    assert (core.handle, core.next_deadline_s) == (inner.handle, inner.next_deadline_s)


def test_commands_and_the_end_of_their_wait_are_queued_too() -> None:
    core, _ = early()
    command = AdminCommand(Principal(), ListInstances(), Nowhere())
    events = [command, Abandoned(command.reply_to)]
    assert [core.handle(event, 0.0) for event in events] == [[], []]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, *events]


def test_queue_is_released_after_a_while_without_instances() -> None:
    core, inner = early()
    event = _asks("tools/call")
    assert core.next_deadline_s() is None
    core.handle(event, 5.0)
    assert core.next_deadline_s() == 5.0 + MAX_WAIT_S
    inner.deadline_s = 7.0
    assert core.next_deadline_s() == 7.0
    tick = Tick()
    assert core.handle(tick, 7.0) == [tick]
    assert core.handle(tick, 5.0 + MAX_WAIT_S) == [event, tick]
    assert core.next_deadline_s() == 7.0


def test_drain_releases_the_queue_first() -> None:
    core, _ = early()
    event, drain = _asks("tools/call"), Drain(Nowhere())
    core.handle(event, 0.0)
    assert core.handle(drain, 0.0) == [event, drain]


def test_queue_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(startup, "MAX_QUEUED", 2)
    core, _ = early()
    events = [_asks("tools/call", number) for number in range(3)]
    assert [core.handle(event, 0.0) for event in events] == [[], [], [events[2]]]
