"""The listener of the REST API: when there is one, where, and who may come in."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio

from router.app.sockets import bind, with_api
from router.config.security.security import Security
from router.config.settings import Api, HttpListener, Server, Settings
from router.messages.errors import ConfigError
from tests.router.app.parts import listeners_of

LIMIT_S = 30
HOST = {"host": "127.0.0.1:8001"}
FOREIGN = "https://ui.example.org"


def _settings(port: int = 0, token: str = "", **more: Any) -> Settings:
    return Settings(
        api=Api(port=port, **more),
        server=Server(http=HttpListener(port=0)),
        security=Security(bearer_token=token),
    )


def test_rest_listener_is_beside_any_other_if_it_is_enabled() -> None:
    assert with_api(_settings(), ["stdio"]) == ("stdio",)
    assert with_api(_settings(enabled=True), ["stdio"]) == ("stdio", "api")
    assert with_api(_settings(enabled=True), ["http", "api"]) == ("http", "api")
    http, api = bind(_settings(enabled=True), ["http"])
    with http.sock, api.sock:
        assert (http.mode, api.url) == ("http", f"http://127.0.0.1:{api.port}")


def test_taken_port_makes_it_look_upwards(taken: int) -> None:
    (api,) = bind(_settings(taken), ["api"])
    with api.sock:
        assert api.port > taken


def test_taken_port_is_named_with_the_ways_out(taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(_settings(taken, auto_find_port=False), ["api"])
    text = str(caught.value)
    assert text.startswith(f"127.0.0.1:{taken}: already in use. ")
    assert "another api.port" in text
    assert "api.auto_find_port" in text


def test_beyond_this_machine_it_needs_a_token() -> None:
    with pytest.raises(ConfigError, match=r"config\.json: api\.host.*security\.bearer_token"):
        bind(_settings(host="0.0.0.0"), ["api"])
    bind(_settings(host="0.0.0.0", token="s" * 16), ["api"])[0].sock.close()


@pytest.mark.parametrize("has_logs", [True, False])
async def test_rest_listener_serves_what_the_settings_enable(has_logs: bool) -> None:
    settings = _settings(enable_realtime_logs=has_logs, token="secret")
    bound = bind(settings, ["api"])
    inbox, asked = trio.open_memory_channel[Any](4)
    listeners = listeners_of(settings, bound, inbox=inbox)
    listeners.settings.current = attrs.evolve(settings, server=Server(drain_s=7))
    listeners.settings.problems = ("config.json: wrong",)
    listeners.instances.problems = ("data: wrong too",)
    (child,) = listeners.children()
    stopping = trio.Event()
    with trio.fail_after(LIMIT_S), bound[0].sock:
        async with trio.open_nursery() as nursery:
            assert await nursery.start(child.run, stopping) == bound[0].url
            nursery.start_soon(_answer, asked)
            root = await _get(bound[0].port, "/")
            assert root["endpoints"] == {"api": bound[0].url}
            config = await _get(bound[0].port, "/api/config")
            assert config["settings"]["server"]["drain_s"] == 7
            assert config["settings"]["security"]["bearer_token"] == {"set": True}
            assert config["problems"] == ["config.json: wrong", "data: wrong too"]
            described = await _get(bound[0].port, "/openapi.json")
            assert ("/api/ws-ticket" in described["paths"]) == has_logs
            stopping.set()
            inbox.close()


async def _answer(asked: trio.MemoryReceiveChannel[Any]) -> None:
    async for event in asked:
        event.reply_to.send_nowait([])


async def _get(port: int, target: str) -> Any:
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"{head}Connection: close\r\n\r\n".encode())
        answer = b"".join([part async for part in stream])
    return json.loads(answer.partition(b"\r\n\r\n")[2])
