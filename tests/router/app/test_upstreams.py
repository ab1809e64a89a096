"""The supervised child of an instance, and the imports that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.app import upstreams
from router.config.settings import McpClient
from router.dispatch.reports import login_needed
from router.messages.events import SessionUp
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.run_policy import RunPolicy
from supervisors.child import StartChild, Starting, Up
from supervisors.supervisor import supervise
from tests.transports.connect.remote.fake_server import Call, serve, session_server
from tests.transports.connect.remote.test_credentials import URL as LOGIN_URL
from tests.transports.connect.remote.test_credentials import FakeCredentials, guarded

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import ProtocolSetting


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


def test_instance_may_have_a_start_timeout_of_its_own() -> None:
    slow = InstanceSpec("a", "p", command="run", run_policy=RunPolicy(start_timeout_s=300))
    made = upstreams.Upstreams(McpClient(start_timeout_s=7), inbox=_channel()).child_of(slow)
    assert made.start_timeout_s == 300


def _channel() -> Any:
    return trio.open_memory_channel[Any](0)[0]


def test_what_instances_need_can_be_imported_before_they_start() -> None:
    upstreams.prepare([InstanceSpec(kind, "p", type=kind) for kind in ("stdio", "http", "sse")])


def _history(
    made_by: upstreams.Upstreams, name: str, command: str = "run", args: tuple[str, ...] = ()
) -> object:
    run: Any = made_by.child_of(InstanceSpec(name, "p", command=command, args=args)).run
    return run.history


def test_what_is_known_of_a_server_is_known_to_the_sessions_of_all_its_clients() -> None:
    made_by = upstreams.Upstreams(McpClient(), inbox=_channel())
    first = _history(made_by, "a#1")
    assert _history(made_by, "a#2") is first
    assert _history(made_by, "b#3") is not first
    changed = _history(made_by, "a#4", command="other")
    assert changed is not first
    assert _history(made_by, "a#5", command="other") is changed


def test_what_is_known_of_a_server_is_known_when_it_is_started_on_command() -> None:
    made_by = upstreams.Upstreams(McpClient(), inbox=_channel())
    first = _history(made_by, "a")
    assert _history(made_by, "a") is first
    assert _history(made_by, "a", args=("x",)) is not first


def test_remote_instances_that_may_log_in_get_credentials() -> None:
    asked: list[tuple[str, str | None]] = []
    credentials: Any = object()

    def credentials_for(spec: InstanceSpec, person: str | None) -> Any:
        asked.append((spec.name, person))
        return credentials

    made_by = upstreams.Upstreams(McpClient(), inbox=_channel(), credentials=credentials_for)
    url = "https://there.example/mcp"
    given = {}
    for spec in (
        InstanceSpec("http", "p", type="http", url=url),
        InstanceSpec("sse", "p", type="sse", url=url),
        InstanceSpec("sse#1", "p", type="sse", url=url, person="alice"),
        InstanceSpec("never", "p", type="http", url=url, may_log_in=False),
        InstanceSpec("stdio", "p", command="run"),
    ):
        run: Any = made_by.child_of(spec).run
        given[spec.name] = run.connect.keywords.get("credentials")
    assert asked == [("http", None), ("sse", None), ("sse#1", "alice")]
    assert given == {
        **dict.fromkeys(("http", "sse", "sse#1"), credentials),
        **dict.fromkeys(("never", "stdio"), None),
    }


@pytest.mark.parametrize(("of_instance", "interval_s"), [(None, 5), (0.0, 0), (2.5, 2.5)])
def test_interval_of_pings_is_the_instances_own_or_the_default(
    of_instance: float | None, interval_s: float
) -> None:
    made_by = upstreams.Upstreams(McpClient(ping_interval_s=5), inbox=_channel())
    spec = InstanceSpec("a", "p", run_policy=RunPolicy(ping_interval_s=of_instance))
    run: Any = made_by.child_of(spec).run
    assert run.ping_interval_s == interval_s


# --- Logins ----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["legacy", "auto", "2026-07-28"])
async def test_a_server_that_asks_for_a_login_is_left_alone_until_somebody_has_logged_in(
    nursery: trio.Nursery, protocol: ProtocolSetting
) -> None:
    credentials = FakeCredentials([])
    inbox, events = trio.open_memory_channel[Any](100)
    commands_in, commands = trio.open_memory_channel[Any](10)
    reports_in, reports = trio.open_memory_channel[Any](0)
    script = guarded(introduces_itself, "good")
    async with serve(script) as server:
        url = f"http://127.0.0.1:{server.port}/mcp"
        spec = InstanceSpec("a", "p", type="http", url=url, protocol=protocol)
        made_by = upstreams.Upstreams(McpClient(), inbox=inbox, credentials=lambda *_: credentials)
        child = made_by.child_of(spec)
        nursery.start_soon(supervise, [child], commands, reports_in)
        assert await reports.receive() == Starting("a")
        down = await reports.receive()
        assert login_needed(down) == LOGIN_URL
        assert (down.restarts, server.calls) == (0, [])
        credentials.tokens = ["good"]
        commands_in.send_nowait(StartChild(child))
        assert [type(await reports.receive()) for _ in range(2)] == [Starting, Up]
        assert isinstance(await events.receive(), SessionUp)
        nursery.cancel_scope.cancel()


async def introduces_itself(call: Call) -> None:
    """Play a server that offers nothing, in either era."""
    if call.rpc == "server/discover":
        await call.result('{"supportedVersions":["2026-07-28"],"capabilities":{}}')
    elif call.rpc == "initialize":
        info = '{"name":"x","version":"1"}'
        revision = '"protocolVersion":"2025-11-25"'
        await call.result(f'{{{revision},"capabilities":{{}},"serverInfo":{info}}}')
    else:
        await session_server(Call.result)(call)
