"""Sessions with a server made with the SDK, over stdio and streamable HTTP, in both eras."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
import hypercorn.config
import hypercorn.trio
import pytest
import trio
from msgspec import Raw

from router.messages.errors import METHOD_NOT_FOUND
from router.messages.events import CatalogChanged, FromSession, SessionUp
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from tests.transports.connect.session import sdk_server
from tests.transports.connect.stdio.children import LIMIT_S
from transports.connect.remote.connect import connect_http
from transports.connect.session.session import UpstreamSession
from transports.connect.stdio.stdio_wire import connect_stdio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from router.messages.frames import Frame

TOOLS = ["echo", "where", "hang", "was_cancelled", "grow"]

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@attrs.define(eq=False)
class Talk:
    """A session with the server, as the actor sees it."""

    up: SessionUp
    told: trio.MemoryReceiveChannel[Any]
    _ids: Any = attrs.field(factory=lambda: count(2, 2))

    def tell(self, frame: Frame) -> None:
        self.up.inbox.send_nowait(frame)

    def send(self, method: str, **params: Any) -> int:
        """Send a request, with an envelope where it needs one."""
        request_id = next(self._ids)
        if self.up.is_stateless:
            params["_meta"] = params.get("_meta", {}) | ENVELOPE
        self.tell(Request(request_id, method, Raw(json.dumps(params).encode())))
        return request_id

    async def hear(self, kind: type[Any]) -> Any:
        """The next of this kind."""
        with trio.fail_after(LIMIT_S):
            async for event in self.told:
                found = event.frame if isinstance(event, FromSession) else event
                if isinstance(found, kind):
                    return found
        raise AssertionError("the session is gone")

    async def ask(self, method: str, **params: Any) -> Any:
        request_id = self.send(method, **params)
        answer = await self.hear((Response, ErrorResponse))  # type: ignore[arg-type]
        assert answer.id == request_id
        raw = answer.result if isinstance(answer, Response) else answer.error
        return json.loads(bytes(raw))

    async def call(self, name: str, **arguments: Any) -> Any:
        result = await self.ask("tools/call", name=name, arguments=arguments)
        return result["content"][0]["text"]


@asynccontextmanager
async def stdio() -> AsyncGenerator[InstanceSpec]:
    args = ("-m", "tests.transports.connect.session.sdk_server")
    yield InstanceSpec("sdk", "test", command=sys.executable, args=args)


@asynccontextmanager
async def http() -> AsyncGenerator[InstanceSpec]:
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    app = sdk_server.build().streamable_http_app()
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn.trio.serve, shutdown_trigger=ended.wait)
        (url,) = await nursery.start(serve, app, config)
        yield InstanceSpec("sdk", "test", type="http", url=f"{url}/mcp")
        nursery.cancel_scope.cancel()


PLACES = {"stdio": (stdio, connect_stdio), "http": (http, connect_http)}


@pytest.fixture(params=list(PLACES))
async def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    monkeypatch.setattr(
        "transports.connect.session.negotiation.PROBE_S", LIMIT_S
    )  # to start takes seconds
    serve, connect = PLACES[request.param]
    async with serve() as spec:
        yield spec, connect


@asynccontextmanager
async def talking(place: Any, protocol: str) -> AsyncGenerator[Talk]:
    spec, connect = place
    spec = attrs.evolve(spec, protocol=protocol)
    inbox, told = trio.open_memory_channel[Any](100)
    session = UpstreamSession(spec, partial(connect, spec), inbox, lambda: 1, "2.0")
    stopping = trio.Event()
    with trio.fail_after(2 * LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(session, stopping)
            yield Talk(await told.receive(), told)
            stopping.set()


@pytest.mark.parametrize(
    ("protocol", "revision"),
    [("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")],
)
async def test_sdk_server_is_met_in_the_era_of_the_setting(
    place: Any, protocol: str, revision: str
) -> None:
    async with talking(place, protocol) as talk:
        up = talk.up
        assert (up.revision, up.instructions) == (revision, "Ask nicely")
        assert json.loads(bytes(up.server_info))["name"] == "sdk"
        assert [tool.key for tool in up.catalog.tools] == TOOLS
        assert [prompt.key for prompt in up.catalog.prompts] == ["greeting"]
        assert [resource.key for resource in up.catalog.resources] == ["memo://one"]
        assert await talk.call("echo", text="héllo") == "héllo"


async def test_slow_sdk_server_is_met_in_the_new_era(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transports.connect.session.negotiation.PROBE_S", 0.1
    )  # to start takes longer
    async with talking(place, "auto") as talk:
        assert talk.up.revision == "2026-07-28"
        assert [tool.key for tool in talk.up.catalog.tools] == TOOLS
        assert await talk.call("echo", text="late") == "late"


async def test_each_way_to_name_something_is_accepted(place: Any) -> None:
    async with talking(place, "auto") as talk:
        assert await talk.call("where", region="Zürich") == "Zürich"
        prompt = await talk.ask("prompts/get", name="greeting", arguments={"name": "you"})
        assert prompt["messages"][0]["content"]["text"] == "Hello you"
        resource = await talk.ask("resources/read", uri="memo://one")
        assert resource["contents"][0]["text"] == "remember"
        assert (await talk.ask("no/such", name="x"))["code"] == METHOD_NOT_FOUND
        assert await talk.call("echo", text="still") == "still"


async def test_sdk_server_announces_changed_tools(place: Any) -> None:
    async with talking(place, "auto") as talk:
        # The subscription opens beside everything else: what is said before it is lost.
        changed: list[Any] = []
        while not changed:
            talk.send("tools/call", name="grow", arguments={})
            await talk.hear((Response, ErrorResponse))  # type: ignore[arg-type]
            with trio.move_on_after(1):
                changed.append(await talk.hear(CatalogChanged))
        assert [tool.key for tool in changed[0].catalog.tools] == [*TOOLS, "grown"]


async def test_a_call_that_is_cancelled_ends_there(place: Any) -> None:
    async with talking(place, "auto") as talk:
        hanging = talk.send("tools/call", name="hang", arguments={}, _meta={"progressToken": 1})
        progress = await talk.hear(Notification)
        assert progress.method == "notifications/progress"
        params = {"requestId": hanging, "reason": "enough"}
        told = Notification("notifications/cancelled", Raw(json.dumps(params).encode()))
        talk.tell(told)
        assert await talk.call("was_cancelled") == "yes"


async def test_a_session_ends_at_once_though_a_subscription_is_open(place: Any) -> None:
    async with talking(place, "auto") as talk:
        assert await talk.call("echo", text="x") == "x"
        began_at_s = trio.current_time()
    assert trio.current_time() - began_at_s < LIMIT_S / 2
