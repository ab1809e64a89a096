"""Equal ids: how what the generator found becomes figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.native.native import Load, LoadError
from benchmarks.proxies.proxy import Running
from benchmarks.suites import collide

if TYPE_CHECKING:
    import pytest

RUNNING = Running(1, "http://127.0.0.1:9/mcp")
FOUND = Load(90, 1.0, 10.0, 20.0, sent=100, wrong=7, missing=3, cpu_s=0.1, fault="another text")


def test_wrong_and_missing_answers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def call(kind: str, running: Running, **options: Any) -> Load:
        asked.update(options)
        return FOUND

    monkeypatch.setattr(collide, "call", call)
    found = collide.faults("http", RUNNING, 1.0)
    assert found == {"right": 90, "wrong": 7, "missing": 3, "refused": 0}
    assert asked["same_ids"]
    assert asked["callers"] == 16


def test_a_proxy_that_refuses_the_sessions_is_said_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def call(*_: Any, **__: Any) -> Load:
        raise LoadError("initialize was refused")

    monkeypatch.setattr(collide, "call", call)
    found = collide.faults("http", RUNNING, 1.0)
    assert found == {"right": 0, "wrong": 0, "missing": 0, "refused": 1}
