"""The parts of one router, and what a change of `config.json` does to them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.app.sockets import Bound
from router.app.wiring import Parts, compose, read_again
from router.config.options import Options, Paths, merge
from router.config.settings import load_settings
from router.logs.logs import Logs
from router.messages.errors import ConfigError, HttpRefusal
from router.messages.events import CoreSettingsChanged, InstancesChanged
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0


def configure(folder: Path, **sections: Any) -> None:
    server = {"http": {"port": 1}}
    sections = {"watcher": {"enabled": False, "debounce_delay": 0.01}, "server": server} | sections
    (folder / "config.json").write_text(json.dumps(sections))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    configure(tmp_path)
    (tmp_path / "data").mkdir()
    put(tmp_path / "data", "p", COMMAND)
    paths = Paths(tmp_path / "config.json", tmp_path / "data", tmp_path / "logs")
    options = Options(modes=("http",), level="INFO")
    settings = merge(load_settings(paths.config), options)
    sock: Any = None
    bound = [Bound("http", "127.0.0.1", 1, 1, sock)]
    with Logs.from_settings(settings.logging, paths.logs, "http") as logs:
        yield Parts(options, paths, settings, ("http",), bound, logs)


def test_command_line_counts_more_than_the_file_at_any_time(parts: Parts, tmp_path: Path) -> None:
    configure(tmp_path, logging={"level": "DEBUG"}, api={"port": 7})
    again = read_again(parts, parts.bound)
    assert (again.logging.level, again.api.port) == ("INFO", 7)


def test_missing_file_is_not_written(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError):
        read_again(parts, ())
    assert not (tmp_path / "config.json").exists()


def test_token_cannot_be_taken_away_from_what_others_can_reach(
    parts: Parts, tmp_path: Path
) -> None:
    sock: Any = None
    exposed = [Bound("http", "0.0.0.0", 1, 1, sock)]
    configure(tmp_path, security={"bearer_token": "t0ken"})
    assert read_again(parts, exposed).security.has_token
    configure(tmp_path)
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        read_again(parts, exposed)


def test_what_the_log_masks_is_masked_in_reasons_too(parts: Parts) -> None:
    plan = compose(parts)
    parts.logs.add_secrets(["sk-12345"])
    assert plan.mask("sk-12345 is wrong") == "*** is wrong"


async def test_what_is_live_takes_effect(parts: Parts, tmp_path: Path) -> None:
    options = Options(modes=("http",))
    parts = Parts(options, parts.paths, parts.settings, ("http",), parts.bound, parts.logs)
    plan = compose(parts)
    listeners: Any = plan.listeners.__self__.listeners  # type: ignore[attr-defined]
    headers = {"host": "127.0.0.1"}
    inbox, events = trio.open_memory_channel[Any](10)
    hint, hints = trio.open_memory_channel[None](1)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plan.announce, hints, lambda: None, inbox)
            assert isinstance(await events.receive(), InstancesChanged)
            listeners.gates.server.admit(headers)
            configure(
                tmp_path,
                watcher={"enabled": False, "debounce_delay": 0.01},
                logging={"level": "ERROR"},
                mcp_client={"enabled": False, "timeout": 7},
                security={"bearer_token": "t0ken"},
            )
            await hint.send(None)
            told = await events.receive()
            assert isinstance(told, CoreSettingsChanged)
            assert told.settings.timeout_s == 7
            (spec,) = (await events.receive()).specs
            assert spec.problem == "mcp_client.enabled is false in config.json"
            nursery.cancel_scope.cancel()
    assert logging.getLogger("mcp_router").level == logging.ERROR
    with pytest.raises(HttpRefusal):
        listeners.gates.server.admit(headers)
    listeners.gates.server.admit(headers | {"authorization": "Bearer t0ken"})
    assert listeners.config()["problems"] == []
    assert "t0ken" not in json.dumps(listeners.config())


async def test_what_is_wrong_now_is_known_to_who_asks(parts: Parts, tmp_path: Path) -> None:
    plan = compose(parts)
    listeners: Any = plan.listeners.__self__.listeners  # type: ignore[attr-defined]
    inbox, events = trio.open_memory_channel[Any](10)
    hint, hints = trio.open_memory_channel[None](1)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plan.announce, hints, lambda: None, inbox)
            before = (await events.receive()).specs
            configure(tmp_path, api={"port": "x"})
            put(tmp_path / "data", "p", "{")
            await hint.send(None)
            assert (await events.receive()).specs == before
            nursery.cancel_scope.cancel()
    config, data = listeners.config()["problems"]
    assert config.startswith('config.json: api.port: expected an integer, got "x"')
    assert data.startswith("data/p/mcp_settings.json: line 1, column 2")
