"""Answers `GET /livez` and `GET /readyz` in front of the application of a listener.

`/livez` says whether the dispatch actor handles its inbox. `/readyz` says whether clients are to be
sent here, and which upstreams are not ready.

Invariants:

- `Host` and `Origin` are checked as on every route. A program on this machine needs no token, any
  other one needs one if any is configured. A request that a proxy forwarded does not come from this
  machine, whatever its connection says.
- A token that is refused here is reported as on every route: nobody guesses tokens in silence.
- No answer waits for longer than `ANSWER_S`.
- Instances are named only to those who may see them: to programs on this machine, and to principals
  that may read the states of all instances.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
import trio
from msgspec import Struct

from router.messages.commands import Principal, ShowReadiness
from router.messages.errors import HttpRefusal
from router.messages.events import AdminCommand, Barrier
from transports.listen.serving.asgi import SEND_S, address_of, path_of
from transports.listen.serving.exchange import (
    NOSNIFF,
    Answer,
    error_answer,
    headers_of,
    json_answer,
)
from transports.listen.serving.refusals import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.messages.events import Event
    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.hosting.listener import Application

LIVE_PATH: Final = "/livez"
READY_PATH: Final = "/readyz"
PATHS: Final = frozenset({LIVE_PATH, READY_PATH})

ANSWER_S: Final = 1.0
"""A dispatch actor that has not answered within this time is taken for stuck."""

FORWARDED: Final = frozenset(
    {
        *("forwarded", "via", "x-real-ip"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"),
    }
)
"""Headers that reverse proxies add."""

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'"),
)

ReadyWhen: TypeAlias = Literal["serving", "listening", "instances"]


class Health(Struct, frozen=True):
    """Judges the health of a router.

    Attributes:
        inbox: the dispatch actor's.
        admit: headers (names in lower case), address -> the principal; raises `HttpRefusal`.
        check_site: checks `Host` and `Origin`, and the token only where nothing is answered without
            one; raises `HttpRefusal`.
        are_listening: returns whether all listeners are up.
        is_stopping: returns whether the router is about to stop.
        ready_when: returns `server.ready_when`.
        refused: reports a request that is not let in: address, path, answer.
    """

    inbox: trio.MemorySendChannel[Event]
    admit: Callable[[Mapping[str, str], str], Principal]
    check_site: Callable[[Mapping[str, str]], object]
    are_listening: Callable[[], bool]
    is_stopping: Callable[[], bool]
    ready_when: Callable[[], ReadyWhen]
    refused: Callable[[str, str, HttpRefusal], None]

    async def answer(self, scope: Message) -> Answer:
        """Return the answer to a request for one of `PATHS`."""
        try:
            headers = headers_of(scope["headers"])
            if scope["method"] not in ("GET", "HEAD"):
                raise HttpRefusal(405, "Method not allowed", (("Allow", "GET, HEAD"),))
            may_name = self._admit_or_report(scope, headers)
        except HttpRefusal as refused:
            return error_answer(refused)
        if path_of(scope) == LIVE_PATH:
            return await self._live()
        return await self._ready(may_name=may_name)

    def _admit_or_report(self, scope: Message, headers: Mapping[str, str]) -> bool:
        try:
            return self._admit(scope, headers)
        except HttpRefusal as refused:
            self.refused(address_of(scope), path_of(scope), refused)
            raise

    def _admit(self, scope: Message, headers: Mapping[str, str]) -> bool:
        """Return whether instances may be named to the sender of an admitted request.

        Raises:
            HttpRefusal: 401 or 403.
        """
        if is_local(scope.get("client")) and FORWARDED.isdisjoint(headers):
            self.check_site(headers)
            return True
        principal = self.admit(headers, address_of(scope))
        is_limited = principal.instances is not None or principal.profile is not None
        return "read" in principal.permissions and not is_limited

    async def _live(self) -> Answer:
        went_round = trio.Event()
        with trio.move_on_after(ANSWER_S):
            try:
                await self.inbox.send(Barrier(went_round.set))  # type: ignore[arg-type]
                await went_round.wait()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the actor has ended
        headers = ((b"content-type", b"text/plain; charset=utf-8"), NOSNIFF)
        if went_round.is_set():
            return Answer(200, headers, b"ok\n")
        return Answer(503, headers, b"the dispatch actor does not answer\n")

    async def _ready(self, *, may_name: bool) -> Answer:
        found = await self._ask()
        status = self._status(found)
        body: dict[str, Any] = {"status": status}
        if found is not None:
            instances = {"ready": found["ready"], "total": found["total"]}
            body["instances"] = instances
            if may_name:
                instances["not_ready"] = found["not_ready"]
        if status == "ready":
            return json_answer(msgspec.json.encode(body))
        retry = tuple((name.lower().encode(), value.encode()) for name, value in RETRY_AFTER)
        return json_answer(msgspec.json.encode(body), 503, retry)

    def _status(self, found: Mapping[str, Any] | None) -> str:
        ready_when = self.ready_when()
        if found is None:
            return "not answering"
        if not self.are_listening():
            return "starting"
        if self.is_stopping() and ready_when != "listening":
            return "stopping"
        if found["not_ready"] and ready_when == "instances":
            return "waiting for instances"
        return "ready"

    async def _ask(self) -> dict[str, Any] | None:
        """Return the answer to `ShowReadiness`; None if the actor gives none in time."""
        answer_in, answers = trio.open_memory_channel["dict[str, Any]"](1)
        with answer_in, answers, trio.move_on_after(ANSWER_S):
            try:
                await self.inbox.send(AdminCommand(Principal(), ShowReadiness(), answer_in))
                return await answers.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
                pass  # the actor has ended
        return None


def is_local(client: tuple[str, int] | None) -> bool:
    """Return whether the other end of a connection is on this machine.

    Args:
        client: its address and port; None on a Unix socket.
    """
    if client is None:
        return True
    address = ipaddress.ip_address(client[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class WithHealth:
    """An ASGI application that answers `PATHS` itself and leaves the rest to another one.

    Attributes:
        unread, endpoint: the other one's.
        own_paths: `PATHS`, for which no endpoint is asked.
    """

    def __init__(self, app: Application, health: Health) -> None:
        self._app = app
        self._health = health
        self.unread = app.unread
        self.endpoint = app.endpoint
        self.own_paths = PATHS
        self.run = app.run
        self.end = app.end

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http" or path_of(scope) not in PATHS:
            await self._app(scope, receive, send)
            return
        answer = await self._health.answer(scope)
        length = (b"content-length", b"%d" % len(answer.body))
        headers = [*answer.headers, *_HEADERS, length]
        with trio.move_on_after(SEND_S):
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            await send(start)
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})
