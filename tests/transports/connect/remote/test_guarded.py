"""An instance without `allow_private`: no private address is connected to, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.messages.frames import Notification, Request
from tests.transports.connect.remote.fake_server import (
    Call,
    Server,
    SseServer,
    Talk,
    echo,
    serve,
    session_server,
)
from transports.connect.remote.connect import connect_http, connect_sse
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from tests.transports.connect.remote.fake_server import ConnectSpec
    from tests.transports.outbound.names import Names

WAY_OUT = 'its address is not public; set "allow_private": true for this instance in its file'


async def refusal(server: Server, url: str, connect: ConnectSpec = connect_http) -> str:
    async with server.connect(connect, url=url, allow_private=False) as talk:
        await talk.send(Request(1, "initialize"))
        return await talk.lost_reason()


@pytest.mark.parametrize("connect", [connect_http, connect_sse])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"],
)
async def test_a_private_address_is_not_connected_to(host: str, connect: ConnectSpec) -> None:
    async with serve(Call.result) as server:
        url = f"http://{host}:{server.port}/mcp"
        try:
            reason = await refusal(server, url, connect)
        except WireLost as lost:  # the SDK waits for the event stream before it takes a message
            reason = lost.reason
        assert reason.replace("URL", url) == f"cannot connect to {url}: {WAY_OUT}"
        assert server.connections == 0


async def test_the_metadata_of_a_cloud_are_not_connected_to() -> None:
    async with serve(Call.result) as server:
        url = "http://169.254.169.254/latest/meta-data"
        assert await refusal(server, url) == f"cannot connect to {url}: {WAY_OUT}"


@pytest.mark.usefixtures("public_loopback")
async def test_a_redirect_is_guarded_like_the_first_connection(names: Names) -> None:
    names.answers["there.test"] = [["127.0.0.1"], ["127.0.0.2"]]

    async def script(call: Call) -> None:
        await call.reply(307, location="/other", connection="close")

    async with serve(script) as server:
        url = f"http://there.test:{server.port}/mcp"
        assert await refusal(server, url) == f"cannot connect to {url}: {WAY_OUT}"
        assert server.connections == 1


@pytest.mark.usefixtures("public_loopback")
async def test_the_url_that_an_event_stream_names_is_guarded_like_the_first(names: Names) -> None:
    names.answers["there.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    async with serve(SseServer(echo)) as server:
        url = f"http://there.test:{server.port}/sse"
        async with server.connect(connect_sse, url=url, allow_private=False) as talk:
            await talk.send(Request(1, "initialize"))
            frame = await first_failure(talk)
        assert WAY_OUT in frame
        assert server.connections == 1


async def first_failure(talk: Talk) -> str:
    try:
        return str((await talk.receive()).failure)
    except WireLost as lost:
        return lost.reason


@pytest.mark.usefixtures("public_loopback")
async def test_a_public_server_is_used_as_ever(names: Names) -> None:
    names.answers["there.test"] = [["127.0.0.2", "127.0.0.1"]]
    async with serve(session_server(Call.result)) as server:
        url = f"http://there.test:{server.port}/mcp"
        async with server.connect(url=url, allow_private=False) as talk:
            await talk.initialize()
            await talk.send(Notification("notifications/roots/list_changed"))
            await talk.request(3, "tools/list")
        assert {call.headers["host"] for call in server.calls} == {f"there.test:{server.port}"}


async def test_a_proxy_of_the_environment_is_not_used_and_the_reason_says_so(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(Call.reply) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await refusal(proxy, "http://nobody.test/mcp") == (
            "cannot connect to http://nobody.test/mcp: its host name cannot be resolved "
            "(Name or service not known); the proxy of the environment is not used, since it "
            'hides addresses; set "allow_private": true for this instance in its file'
        )
        assert proxy.connections == 0
