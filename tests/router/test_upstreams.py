"""Instances on their way from `data/` to the actor, and how each is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from router import upstreams
from router.messages import InstanceSpec
from router.settings import McpClient
from router.upstreams import announce_instances

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WAIT_S = 60.0


def _write(data: Path, name: str, text: str) -> None:
    (data / name).mkdir(parents=True)
    (data / name / "mcp_settings.json").write_text(text)


async def _announced(data: Path, settings: McpClient | None = None) -> tuple[Any, set[str]]:
    hidden: set[str] = set()
    send, receive = trio.open_memory_channel[Any](1)
    with trio.fail_after(WAIT_S):
        await announce_instances(data, settings or McpClient(), send, hide=hidden.update)
        return (await receive.receive()).specs, hidden


async def test_instances_are_announced_and_their_secrets_hidden(tmp_path: Path) -> None:
    _write(tmp_path, "p", '{"command": "x", "env": {"KEY": "sk-12345"}}')
    specs, hidden = await _announced(tmp_path)
    assert [spec.name for spec in specs] == ["p"]
    assert "sk-12345" in hidden


async def test_what_is_wrong_in_data_is_logged_and_harms_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path, "bad", "{")
    _write(tmp_path, "good", '{"command": "x"}')
    _write(tmp_path, "unset", '{"command": "x", "args": ["${NOT_SET_ANYWHERE}"]}')
    specs, _ = await _announced(tmp_path)
    assert [spec.name for spec in specs] == ["good", "unset"]
    assert any("bad/mcp_settings.json" in message for message in caplog.messages)
    assert any("NOT_SET_ANYWHERE" in message for message in caplog.messages)


async def test_switched_off_instances_are_listed_and_not_started(tmp_path: Path) -> None:
    _write(tmp_path, "p", '{"command": "x"}')
    ((spec,), _) = await _announced(tmp_path, McpClient(enabled=False))
    assert (spec.name, spec.problem) == ("p", "mcp_client.enabled is false in config.json")


async def test_too_many_instances_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upstreams, "MAX_INSTANCES", 1)
    for name in ("a", "b", "c"):
        _write(tmp_path, name, '{"command": "x"}')
    specs, _ = await _announced(tmp_path)
    assert [spec.name for spec in specs] == ["a"]
    assert any("2 instances too many" in message for message in caplog.messages)


def test_each_type_of_instance_has_its_connector() -> None:
    made = [
        upstreams.Upstreams(McpClient(start_timeout_s=7), inbox=_channel()).child_of(
            InstanceSpec(kind, "p", type=kind)
        )
        for kind in ("stdio", "http", "sse")
    ]
    assert [(child.name, child.start_timeout_s) for child in made] == [
        ("stdio", 7),
        ("http", 7),
        ("sse", 7),
    ]


def _channel() -> Any:
    return trio.open_memory_channel[Any](0)[0]
