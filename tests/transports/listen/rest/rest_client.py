"""A client for the REST API without a socket, and an actor that answers what it is told to."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from router.messages.commands import CountTools, Principal
from router.messages.errors import INSTANCE_NOT_FOUND, HttpRefusal, RpcError
from router.messages.events import Abandoned, AdminCommand, Event
from transports.listen.rest.backend import RestBackend
from transports.listen.rest.rest_app import RestApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

LIMIT_S: Final = 60
COUNTED_IN: Final = 2
PART_BYTES: Final = 1024 * 1024
TOKENS: Final = {
    "Bearer all": Principal("all"),
    "Bearer caller": Principal("caller", frozenset({"call"})),
    "Bearer one": Principal("one", instances=frozenset({"files"})),
    "Bearer bound": Principal("bound", profile="work"),
    "Bearer nameless": Principal("", frozenset({"call", "read"})),
}


def admit(headers: Mapping[str, str], _address: str) -> Principal:
    """Rules like those of the router: one host, no pages but one, three tokens."""
    if headers.get("host") != "127.0.0.1:8001":
        raise HttpRefusal(403, "Host is not allowed")
    if headers.get("origin") not in (None, "http://127.0.0.1:9999"):
        raise HttpRefusal(403, "Origin is not allowed")
    if "authorization" not in headers:
        raise HttpRefusal(401, "Bearer token required but not provided")
    if (known := TOKENS.get(headers["authorization"])) is None:
        raise HttpRefusal(401, "Invalid bearer token")
    return known


class FakeProfiles:
    """Profiles that are kept in a dict."""

    def __init__(self, *names: str) -> None:
        self.by_name: dict[str, dict[str, Any]] = {name: {} for name in names}

    def rows(self) -> list[dict[str, Any]]:
        return [self.row(name) for name in self.by_name]

    def row(self, name: str, /) -> dict[str, Any]:
        if name not in self.by_name:
            raise RpcError(INSTANCE_NOT_FOUND, f"Profile not found: {name}")
        return {"name": name, **self.by_name[name]}

    async def put(self, name: str, value: dict[str, Any], /) -> bool:
        await trio.lowlevel.checkpoint()
        is_new = name not in self.by_name
        self.by_name[name] = value
        return is_new

    async def remove(self, name: str, /) -> None:
        await trio.lowlevel.checkpoint()
        self.row(name)
        del self.by_name[name]


class AnsweringActor:
    """Answers each command with the next of its `answers`, if there is one.

    It counts the tools in so many parts, however often it is asked to.
    """

    def __init__(self) -> None:
        self.inbox_in, self._inbox = trio.open_memory_channel[Event](8)
        self.asked: list[AdminCommand] = []
        self.counted = 0
        self.abandoned: list[Abandoned] = []
        self.answers: list[Any] = []
        self.news = trio.Event()

    @property
    def question(self) -> Any:
        """The last command."""
        return self.asked[-1].what

    async def run(self) -> None:
        with suppress(trio.ClosedResourceError):
            await self._answer_all()

    async def _answer_all(self) -> None:
        async for event in self._inbox:
            if isinstance(event, AdminCommand) and event.what == CountTools():
                self.counted += 1
                event.reply_to.send_nowait(self.counted % COUNTED_IN == 0)
            elif isinstance(event, AdminCommand):
                self.asked.append(event)
                if self.answers:
                    event.reply_to.send_nowait(self.answers.pop(0))
            elif isinstance(event, Abandoned):
                self.abandoned.append(event)
            self.news.set()
            self.news = trio.Event()

    def stop(self) -> None:
        self._inbox.close()


@attrs.frozen
class Got:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]


@attrs.frozen
class RestSite:
    """An application with its actor behind it."""

    app: RestApp
    actor: AnsweringActor
    nursery: trio.Nursery

    async def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        data: bytes = b"",
        token: str | None = "all",
        scheme: str = "http",
        root_path: str = "",
        **headers: str,
    ) -> Got:
        """Send a request and read all of its response."""
        given = {"host": "127.0.0.1:8001"}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        if body is not None:
            data = json.dumps(body).encode()
            given["content-type"] = "application/json"
        if data:
            given["content-length"] = str(len(data))
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent: list[dict[str, Any]] = []
        parts = [data[at : at + PART_BYTES] for at in range(0, max(len(data), 1), PART_BYTES)]

        async def receive() -> dict[str, Any]:
            if not parts:
                await trio.sleep_forever()
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        scope = self._scope("http", target, given, method, scheme) | {"root_path": root_path}
        with trio.fail_after(LIMIT_S):
            await self.app(scope, receive, send)
        head = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
        return Got(sent[0]["status"], head, b"".join(one.get("body", b"") for one in sent[1:]))

    def _scope(
        self, kind: str, target: str, headers: Mapping[str, str], method: str, scheme: str
    ) -> Any:
        path, _, query = target.partition("?")
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw_headers(headers),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8001),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }

    @asynccontextmanager
    async def socket(
        self, target: str = "/ws", token: str | None = "all", **headers: str
    ) -> AsyncIterator[Socket]:
        """Open a WebSocket; leaving the block closes it."""
        given = {"host": "127.0.0.1:8001", **headers}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        to_app, receive = trio.open_memory_channel[dict[str, Any]](20)
        send, from_app = trio.open_memory_channel[dict[str, Any]](0)

        async def say(message: Any) -> None:
            await send.send(message)

        scope = self._scope("websocket", target, given, "GET", "ws")
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.app, scope, receive.receive, say)
                to_app.send_nowait({"type": "websocket.connect"})
                yield Socket(to_app, from_app)
                nursery.cancel_scope.cancel()


@attrs.frozen
class Socket:
    """The client's end of a WebSocket."""

    to_app: trio.MemorySendChannel[dict[str, Any]]
    from_app: trio.MemoryReceiveChannel[dict[str, Any]]

    async def next(self) -> dict[str, Any]:
        return await self.from_app.receive()

    async def text(self) -> str:
        message = await self.next()
        assert message["type"] == "websocket.send", message
        return cast("str", message["text"])

    async def greeting(self) -> str:
        assert (await self.next())["type"] == "websocket.accept"
        return await self.text()


@asynccontextmanager
async def rest_site(**more: Any) -> AsyncIterator[RestSite]:
    """Run an actor, and an application that asks it."""
    actor = AnsweringActor()
    backend = RestBackend(
        **{"inbox": actor.inbox_in, "admit": admit, "version": "9", "needs_token": lambda: True}
        | more
    )
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run)
            yield RestSite(RestApp(backend), actor, nursery)
            nursery.cancel_scope.cancel()
