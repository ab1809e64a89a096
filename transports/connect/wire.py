"""The interface between a session and the connection to its upstream, whatever carries the frames.

Invariants, for every wire:

- A wire belongs to one incarnation of a session. A lost wire stays lost; the supervisor starts
  another incarnation with another wire.
- `connect()` is a context manager. Leaving it ends the connection and everything behind it within
  a bounded time, and at once in case of cancellation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from router.messages.catalog import Catalog
    from router.messages.errors import RpcError
    from router.messages.frames import Frame, RequestId


class Failure(Struct, frozen=True, gc=False):
    """The reason why a request failed although the connection goes on.

    Attributes:
        error: for whoever waits for the answer.
        status: the HTTP status; None if the connection of this request broke.
        retry_after_s: the seconds for which the upstream asks not to be called; None if it does
            not.
        is_answered: True if the frame is an error of the upstream's own, which came with that
            status.
        login_url: set if only a login gets further, so that the connection is about to end: as in
            `LoginNeeded`. None for any other reason.
    """

    error: RpcError
    status: int | None = None
    retry_after_s: float | None = None
    is_answered: bool = False
    login_url: str | None = None


class Received(Struct, frozen=True, gc=False):
    """A frame from an upstream.

    Attributes:
        frame: the frame.
        related: the id of the router's request on whose response stream the frame came; None if
            the wire cannot tell. Only streamable HTTP can.
        failure: set if the frame is an error that tells of a failed request; None for all others.
    """

    frame: Frame
    related: RequestId | None = None
    failure: Failure | None = None


class WireLost(Exception):
    """The upstream cannot be reached, or no longer.

    Attributes:
        reason: one sentence for the user.
        retry_after_s: the seconds for which the upstream asks to be left alone; None if it does
            not. The supervisor waits so long before the next start.
        needs_login: True if only a login at the upstream changes that, so no start is worth trying.
        login_url: as in `LoginNeeded`.
        is_from_outside: True if a process did not end because of what it was sent: it could not be
            executed, or somebody killed it.
    """

    def __init__(
        self,
        reason: str,
        retry_after_s: float | None = None,
        is_from_outside: bool = False,
        needs_login: bool = False,
        login_url: str = "",
    ) -> None:
        super().__init__(reason, retry_after_s, is_from_outside, needs_login, login_url)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.is_from_outside = is_from_outside
        self.needs_login = needs_login
        self.login_url = login_url

    @property
    def stays_down(self) -> bool:
        """See `supervisors.child.AsksToStayDown`."""
        return self.needs_login

    def __str__(self) -> str:
        return self.reason

    def again(self, reason: str | None = None) -> WireLost:
        """Return the same as an exception of its own, with another reason if one is given."""
        given = self.retry_after_s, self.is_from_outside, self.needs_login, self.login_url
        return WireLost(reason or self.reason, *given)


class Wire(Protocol):
    """Sends frames to one upstream and receives its frames.

    One task sends and one task receives, at the same time.
    """

    def send_nowait(self, frames: Sequence[Frame]) -> bool:
        """Take frames, and send as much of them as needs no waiting; for at least one frame.

        Returns:
            False if some of it is left, also because the connection is gone. Then `send` has to be
            called next, which sends that.
        """
        ...

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send what `send_nowait` has left, then frames in order, in few writes.

        Raises:
            WireLost: the connection is gone.
        """
        ...

    async def receive(self) -> Sequence[Received]:
        """Wait for a frame, and return all frames that have come in, in order.

        Raises:
            WireLost: the connection is gone, and all frames before that were received.
        """
        ...

    def set_probing(self, is_probing: bool) -> None:
        """Note that the upstream is asked now what an older server may not know, or has answered.

        Such a server may complain, which says nothing of it. `set_revision` ends that as well.
        """
        ...

    def set_revision(self, revision: str) -> None:
        """Speak this protocol revision from now on."""
        ...

    def set_catalog(self, catalog: Catalog) -> None:
        """Use this catalog of the upstream from now on.

        Over HTTP, MCP 2026-07-28 repeats some arguments of a call in headers, as its tool asks.
        """
        ...

    def last_words(self) -> str:
        """Return what the upstream said last outside the protocol, as on stderr.

        In one line, for a reason; empty if it said nothing of interest.
        """
        ...


Connect: TypeAlias = "Callable[[], AbstractAsyncContextManager[Wire]]"
"""Opens the wire of one incarnation.

Raises:
    WireLost: no connection is possible.
"""
