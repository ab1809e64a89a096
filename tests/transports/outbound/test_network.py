"""The guarded network: each name is resolved once, and only checked addresses are connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import httpcore2
import httpx2
import pytest
import trio
import trio.testing

from tests.transports.connect.remote.fake_server import Call, serve
from transports.outbound.network import (
    HEAD_START_S,
    MAX_ADDRESSES,
    AddressNotPublic,
    GuardedNetwork,
    GuardedTransport,
)

if TYPE_CHECKING:
    from tests.transports.outbound.names import Names


async def get(url: str) -> httpx2.Response:
    with trio.fail_after(30):
        async with httpx2.AsyncClient(transport=GuardedTransport()) as client:
            return await client.get(url)


# --- Which addresses are connected to ---


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001"),
        *(
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
        ),
        *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]"),
    ],
)
async def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    async with serve(Call.result) as server:
        with pytest.raises(httpx2.ConnectError):
            await get(f"http://{host}:{server.port}/")
        assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1.", "localhost.", "①②⑦.⓪.⓪.①", "0177.0.0.1"])
async def test_no_spelling_that_only_some_systems_read_is_connected_to(host: str) -> None:
    async with serve(Call.result) as server:
        with pytest.raises((httpx2.ConnectError, httpx2.InvalidURL)):
            await get(f"http://{host}:{server.port}/")
        assert server.connections == 0


@pytest.mark.usefixtures("public_loopback")
async def test_a_name_is_resolved_once_so_a_later_answer_changes_nothing(names: Names) -> None:
    names.answers["rebinding.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    async with serve(Call.reply) as server:
        response = await get(f"http://rebinding.test:{server.port}/")
        assert response.status_code == 200
        assert names.asked == ["rebinding.test"]
        assert server.calls[0].headers["host"] == f"rebinding.test:{server.port}"
        with pytest.raises(httpx2.ConnectError) as caught:
            await get(f"http://rebinding.test:{server.port}/")
        assert isinstance(caught.value.__cause__, AddressNotPublic)
        assert server.connections == 1


@pytest.mark.usefixtures("public_loopback")
async def test_a_connection_that_is_kept_needs_no_name(names: Names) -> None:
    names.answers["kept.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    async with (
        serve(Call.reply) as server,
        httpx2.AsyncClient(transport=GuardedTransport()) as client,
    ):
        for _ in range(2):
            await client.get(f"http://kept.test:{server.port}/")
        assert (names.asked, server.connections) == (["kept.test"], 1)


async def test_a_unix_socket_is_refused() -> None:
    with pytest.raises(AddressNotPublic):
        await GuardedNetwork().connect_unix_socket("/run/any.sock")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(Call.reply) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(httpx2.ConnectError) as caught:
            await get("http://10.0.0.1/")
        assert isinstance(caught.value.__cause__, AddressNotPublic)
        assert proxy.connections == 0


# --- In which order, and for how long ---


class Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, address: str) -> None:
        self.address = address
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


@attrs.define
class FakeNetwork(httpcore2.AsyncNetworkBackend):
    """Connects after a while.

    Attributes:
        delays_s: address -> the seconds until it is connected; an address without any refuses.
        tried: addresses and the times at which they were tried.
        streams: all that were opened.
    """

    delays_s: dict[str, float]
    tried: list[tuple[str, float]] = attrs.field(factory=list)
    streams: list[Stream] = attrs.field(factory=list)

    async def connect_tcp(self, host: str, *args: object, **kwargs: object) -> Stream:
        self.tried.append((host, round(trio.current_time(), 3)))
        await trio.lowlevel.checkpoint()
        if host not in self.delays_s:
            raise httpcore2.ConnectError(host)
        await trio.sleep(self.delays_s[host])
        self.streams.append(Stream(host))
        return self.streams[-1]


async def test_private_addresses_of_a_name_are_left_out(names: Names) -> None:
    names.answers["mixed.test"] = [["10.0.0.1", "::1", "8.8.8.8", "169.254.169.254"]]
    network = FakeNetwork({"8.8.8.8": 0})
    await GuardedNetwork(network).connect_tcp("mixed.test", 443)
    assert [address for address, _ in network.tried] == ["8.8.8.8"]


async def test_a_name_without_a_public_address_is_refused(names: Names) -> None:
    names.answers["inside.test"] = [["10.0.0.1", "fd00::1"]]
    network = FakeNetwork({})
    with pytest.raises(AddressNotPublic, match="its address is not public"):
        await GuardedNetwork(network).connect_tcp("inside.test", 443)
    assert network.tried == []


async def test_a_name_that_nobody_knows_is_a_failure_to_connect(names: Names) -> None:
    with pytest.raises(httpcore2.ConnectError) as caught:
        await GuardedNetwork(FakeNetwork({})).connect_tcp("nobody.test", 443)
    assert not isinstance(caught.value, AddressNotPublic)


async def test_the_next_address_is_tried_at_once_after_a_failure_and_else_after_a_while(
    names: Names, autojump_clock: trio.testing.MockClock
) -> None:
    names.answers["several.test"] = [["8.8.8.1", "8.8.8.2", "8.8.8.3"]]
    network = FakeNetwork({"8.8.8.2": 60, "8.8.8.3": 1})
    stream = await GuardedNetwork(network).connect_tcp("several.test", 443)
    assert isinstance(stream, Stream)
    assert stream.address == "8.8.8.3"
    assert network.tried == [("8.8.8.1", 0), ("8.8.8.2", 0), ("8.8.8.3", HEAD_START_S)]


async def test_one_of_two_connections_at_the_same_moment_is_closed(
    names: Names, autojump_clock: trio.testing.MockClock
) -> None:
    names.answers["twice.test"] = [["8.8.8.1", "8.8.8.2"]]
    network = FakeNetwork({"8.8.8.1": HEAD_START_S + 1, "8.8.8.2": 1})
    stream = await GuardedNetwork(network).connect_tcp("twice.test", 443)
    assert [each for each in network.streams if not each.is_closed] == [stream]


async def test_if_no_address_answers_the_first_failure_counts(names: Names) -> None:
    names.answers["dead.test"] = [["8.8.8.1", "8.8.8.2"]]
    with pytest.raises(httpcore2.ConnectError, match=r"8\.8\.8\.1"):
        await GuardedNetwork(FakeNetwork({})).connect_tcp("dead.test", 443)


async def test_only_so_many_addresses_are_tried(names: Names) -> None:
    names.answers["many.test"] = [[f"8.8.8.{number}" for number in range(1, 100)]]
    network = FakeNetwork({})
    with pytest.raises(httpcore2.ConnectError):
        await GuardedNetwork(network).connect_tcp("many.test", 443)
    assert len(network.tried) == MAX_ADDRESSES


async def test_connecting_takes_at_most_its_timeout(
    names: Names, autojump_clock: trio.testing.MockClock
) -> None:
    names.answers["slow.test"] = [["8.8.8.1", "8.8.8.2"]]
    network = FakeNetwork({"8.8.8.1": 60, "8.8.8.2": 60})
    with pytest.raises(httpcore2.ConnectTimeout):
        await GuardedNetwork(network).connect_tcp("slow.test", 443, timeout=5)
    assert trio.current_time() == pytest.approx(5)


async def test_a_cancelled_attempt_leaves_nothing_open(
    names: Names, autojump_clock: trio.testing.MockClock
) -> None:
    names.answers["slow.test"] = [["8.8.8.1"]]
    network = FakeNetwork({"8.8.8.1": 5})
    with trio.move_on_after(5):
        await GuardedNetwork(network).connect_tcp("slow.test", 443)
    assert all(stream.is_closed for stream in network.streams)


async def test_a_pause_between_attempts_is_as_long_as_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    await GuardedNetwork(FakeNetwork({})).sleep(3)
    assert trio.current_time() == pytest.approx(3)
