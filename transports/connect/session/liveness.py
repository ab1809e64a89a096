"""Finds out that an upstream hangs: it is asked for a sign of life after a time of silence.

Invariants:

- Whatever the upstream sends is a sign of life, and so is an error: only silence is held against
  it.
- A server that works through one message after the other cannot answer while it works. So a session
  does not end while a call is in flight that was sent before the question: first that call is
  answered, or the core gives it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct, field

from router.messages.frames import Notification, Request, RequestId
from router.messages.revisions import LISTEN_METHOD
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.messages.frames import Frame
    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.session.requests import SessionRequests

PING_LIMIT_S: Final = 30.0
"""Time for a sign of life. A healthy process answers at once; a busy machine may take seconds."""

LEAST_LIMIT_S: Final = 5.0
"""The same, where the interval is shorter: whoever asks often wants to know soon."""

_NO_CALLS: Final = frozenset({"resources/subscribe", "resources/unsubscribe", "logging/setLevel"})
"""Requests after which a server has no work to do, and whose answers nobody gives up: one that is
never answered would else speak for the server for ever."""

_UNANSWERED: Final = frozenset({LISTEN_METHOD, "initialize"}) | _NO_CALLS
"""Requests that a healthy server may never answer: the first is answered at its end, the second not
where the answer to `server/discover` came first."""

_CANCELLED: Final = "notifications/cancelled"


class _Cancelled(Struct, gc=False):
    requestId: RequestId  # MCP's name


_cancelled: Final = msgspec.json.Decoder(_Cancelled)


def may_be_asked(spec: InstanceSpec, *, is_stateless: bool) -> bool:
    """Return whether a sign of life of an idle upstream says anything.

    A remote server of 2026-07-28 keeps nothing between two requests. Each call finds out by itself
    whether the server is there, and to ask before would only keep it awake.
    """
    return spec.type == "stdio" or not is_stateless


class Liveness(Struct, eq=False):
    """The signs of life of one incarnation.

    Attributes:
        heard_at_s: the second at which the upstream sent something last.
    """

    heard_at_s: float = field(default_factory=trio.current_time)
    _in_flight: set[RequestId] = set()

    def note_sent(self, frames: Iterable[Frame]) -> None:
        """Note the requests that the upstream is to answer, and those that it need not any more."""
        for frame in frames:
            if isinstance(frame, Request):
                if frame.method not in _UNANSWERED:
                    self._in_flight.add(frame.id)
            elif isinstance(frame, Notification) and frame.method == _CANCELLED:
                self._note_cancelled(frame)

    def _note_cancelled(self, frame: Notification) -> None:
        try:
            self._in_flight.discard(_cancelled.decode(frame.params).requestId)
        except msgspec.MsgspecError:
            return

    def note_answered(self, request_id: RequestId | None) -> None:
        """Note that a request was answered."""
        if request_id is not None:
            self._in_flight.discard(request_id)

    async def watch(
        self, requests: SessionRequests, interval_s: float, *, is_stateless: bool
    ) -> None:
        """Ask for a sign of life after each `interval_s` of silence, for ever.

        MCP has `ping` for that (2025-11-25, Ping); 2026-07-28 has none, but each server answers
        `server/discover`.

        Raises:
            WireLost: the upstream hangs.
        """
        method = "server/discover" if is_stateless else "ping"
        limit_s = min(PING_LIMIT_S, max(LEAST_LIMIT_S, interval_s))
        while True:
            await trio.sleep_until(self.heard_at_s + interval_s)
            if trio.current_time() >= self.heard_at_s + interval_s:
                await self._ask(requests, method, limit_s)

    async def _ask(self, requests: SessionRequests, method: str, limit_s: float) -> None:
        before = frozenset(self._in_flight)
        asked_at_s = trio.current_time()
        request = await requests.open(method, {})
        for _ in range(2):  # If this process was stopped, one half passed before anything was read.
            with trio.move_on_after(limit_s / 2):
                await request.answered.wait()
        while not (request.is_answered or self.heard_at_s > asked_at_s):
            if before.isdisjoint(self._in_flight):
                silent_s = trio.current_time() - self.heard_at_s
                raise WireLost(
                    f"hangs: it did not answer {method}, and was silent for {silent_s:.0f} s"
                )
            await trio.sleep(limit_s)
        requests.forget(request)
        self.note_answered(request.id)  # A server that never answers it may hang later.
