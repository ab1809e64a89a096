"""Sends commands to the dispatch actor for HTTP requests, and maps its errors to HTTP.

One command goes into the actor's inbox, one answer comes back. An error becomes a status and a body
`{"detail": {"error", "code"}}`.

Invariants:

- Routing state is never touched here.
- A request that stops waiting sends `Abandoned`, so that its call is cancelled upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import trio
from msgspec import Struct

from router.messages.commands import CallTool, Forwarded
from router.messages.errors import (
    ALREADY_EXISTS,
    AMBIGUOUS_CLIENT,
    APPROVAL_CONFLICT,
    APPROVAL_NOT_FOUND,
    INSTANCE_NOT_FOUND,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    NOT_ALLOWED,
    NOT_APPROVED,
    NOT_SAVED,
    OVERLOADED,
    RESOURCE_NOT_FOUND,
    SESSION_LOST,
    TIMEOUT,
    TOOL_NOT_FOUND,
    TRANSPORT_ERROR,
    UNAVAILABLE,
    RpcError,
)
from router.messages.events import Abandoned, AdminCommand
from transports.listen.serving.client_messages import whole_seconds

if TYPE_CHECKING:
    from router.messages.commands import Principal, RouterCommand
    from router.messages.events import Event
    from router.messages.frames import Outbox

ABANDONED_SEND_S: Final = 5.0
"""How long a request that has ended tries to tell an actor whose inbox is full."""

_STATUS: Final[dict[int, int]] = {
    INSTANCE_NOT_FOUND: 404,
    TOOL_NOT_FOUND: 404,
    INVALID_PARAMS: 422,
    NOT_ALLOWED: 403,
    TIMEOUT: 504,
    UNAVAILABLE: 503,
    OVERLOADED: 503,
    SESSION_LOST: 503,
    TRANSPORT_ERROR: 502,
    INTERNAL_ERROR: 500,
    AMBIGUOUS_CLIENT: 400,
    ALREADY_EXISTS: 409,
    NOT_APPROVED: 403,
    APPROVAL_NOT_FOUND: 404,
    APPROVAL_CONFLICT: 409,
}
"""JSON-RPC code -> HTTP status; every other code has 400."""

_ROUTER_CODES: Final = range(NOT_SAVED, NOT_APPROVED + 1)
"""-32019 to -32008: the codes that only the router gives, never an upstream."""

_CANNOT_STORE: Final = tuple(
    {"errno": code} for code in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM")
)
"""The data of a `NOT_SAVED` error when disk or quota is full, or may not be written to."""

ROUTER_STOPPING: Final = RpcError(UNAVAILABLE, "The router is stopping")


class ActorClient(Struct, frozen=True):
    """Sends commands to the actor; `inbox` is the actor's."""

    inbox: trio.MemorySendChannel[Event]

    async def ask(self, principal: Principal, command: RouterCommand, address: str = "") -> Any:
        """Send a command and return its answer; the core's `admin_commands` gives its shape.

        Args:
            principal: its sender.
            command: the command.
            address: the IP address of the sender.

        Raises:
            RpcError: the actor's own, or -32013 if the actor has stopped.
        """
        answer_in, answers = trio.open_memory_channel[Any](1)
        is_over = False
        with answer_in, answers:
            try:
                await self.inbox.send(AdminCommand(principal, command, answer_in, address))
                answer = await answers.receive()
                is_over = True
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
                is_over = True
                raise ROUTER_STOPPING from None
            finally:
                if not is_over:
                    with trio.move_on_after(ABANDONED_SEND_S, shield=True):
                        await self.abandon(answer_in)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def send(
        self, principal: Principal, command: RouterCommand, reply_to: Outbox, address: str = ""
    ) -> None:
        """Send a command whose values come into an outbox; see `ask`.

        Raises:
            RpcError: -32013, the actor has stopped.
        """
        try:
            await self.inbox.send(AdminCommand(principal, command, reply_to, address))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ROUTER_STOPPING from None

    async def abandon(self, reply_to: Outbox) -> None:
        """Tell the actor that nobody waits for the answer to a command any more."""
        try:
            await self.inbox.send(Abandoned(reply_to))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the actor has stopped, and all calls with it


def http_status(error: RpcError, command: RouterCommand | None = None) -> int:
    """Return the HTTP status for an error; `command` is the command that failed.

    An error of a call that is not the router's own comes from the upstream. The call was wrong
    there, which is 400, and the body has the upstream's message. A resource or prompt that is not
    there is 404, whoever says so.
    """
    if error.code == RESOURCE_NOT_FOUND and not isinstance(command, CallTool):
        return 404
    if isinstance(command, Forwarded) and error.code not in _ROUTER_CODES:
        return 400
    if retry_after_s(error) is not None:
        return 429
    if error.code == NOT_SAVED:
        # RFC 4918 section 11.5: the server cannot store the representation.
        return 507 if error.data in _CANNOT_STORE else 500
    return _STATUS.get(error.code, 400)


def retry_after_s(error: RpcError) -> int | None:
    """Return how long a token that has reached a limit has to wait; None for other errors."""
    data: Any = error.data
    if error.code != OVERLOADED or not isinstance(data, dict):
        return None
    retry_in_s: Any = cast("dict[str, Any]", data).get("retry_in_s")
    return whole_seconds(retry_in_s) if isinstance(retry_in_s, (int, float)) else None


def error_body(error: RpcError) -> dict[str, Any]:
    """Return the body for an error."""
    return {"detail": {"error": error.message, "code": error.string_code}}
