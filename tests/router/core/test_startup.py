"""What clients ask before the instances are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core import startup
from router.core.startup import PATIENCE_S, EarlyCore
from router.messages.commands import ListInstances, Principal
from router.messages.events import (
    Abandoned,
    AdminCommand,
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
    """Says what it was handed."""

    def __init__(self) -> None:
        self.deadline_s: float | None = None

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        effects: list[Any] = [event]
        return effects

    def next_deadline_s(self) -> float | None:
        return self.deadline_s


class Nowhere:
    def send_nowait(self, value: Any, /) -> None: ...
    def close(self) -> None: ...


def _core() -> tuple[EarlyCore, FakeCore]:
    inner: Any = FakeCore()
    return EarlyCore(inner), inner


def _asks(method: str, request_id: int = 1) -> FromClient:
    return FromClient("c", Request(request_id, method), Nowhere())


def test_handshake_and_ping_are_answered_at_once() -> None:
    core, _ = _core()
    opened = ClientOpened("c", Nowhere())
    for event in (opened, _asks("initialize"), _asks("ping")):
        assert core.handle(event, 0.0) == [event]


def test_all_else_is_held_in_order_until_the_instances_are_known() -> None:
    core, _ = _core()
    events = [
        FromClient("c", Notification("notifications/initialized"), Nowhere()),
        _asks("tools/list", 1),
        _asks("tools/call", 2),
    ]
    assert [core.handle(event, 0.0) for event in events] == [[], [], []]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, *events]
    assert core.handle(events[1], 2.0) == [events[1]]


def test_commands_are_held_too_and_so_is_that_nobody_waits_for_them() -> None:
    core, _ = _core()
    command = AdminCommand(Principal(), ListInstances(), Nowhere())
    events = [command, Abandoned(command.reply_to)]
    assert [core.handle(event, 0.0) for event in events] == [[], []]
    assert core.handle(CONFIGURED, 1.0) == [CONFIGURED, *events]


def test_it_is_held_only_so_long() -> None:
    core, inner = _core()
    event = _asks("tools/call")
    assert core.next_deadline_s() is None
    core.handle(event, 5.0)
    assert core.next_deadline_s() == 5.0 + PATIENCE_S
    inner.deadline_s = 7.0
    assert core.next_deadline_s() == 7.0
    tick = Tick()
    assert core.handle(tick, 7.0) == [tick]
    assert core.handle(tick, 5.0 + PATIENCE_S) == [event, tick]
    assert core.next_deadline_s() == 7.0


def test_stopping_lets_it_go_first() -> None:
    core, _ = _core()
    event, drain = _asks("tools/call"), Drain(Nowhere())
    core.handle(event, 0.0)
    assert core.handle(drain, 0.0) == [event, drain]


def test_what_is_held_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(startup, "HELD_LIMIT", 2)
    core, _ = _core()
    events = [_asks("tools/call", number) for number in range(3)]
    assert [core.handle(event, 0.0) for event in events] == [[], [], [events[2]]]
