"""Asking the dispatch actor on behalf of an HTTP request, and its errors as HTTP statuses.

Job: one question into the actor's inbox, one answer back; what went wrong as a status and a
`{"detail": {"error", "code"}}` body. Neighbours: the routes of `rest` ask; the core answers.

Invariants: routing state is never touched here. Whoever stops waiting says so (`Abandoned`), so
that a call of theirs is cancelled upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from router.messages.commands import CallTool
from router.messages.errors import (
    ALREADY_EXISTS,
    AMBIGUOUS_CLIENT,
    INSTANCE_NOT_FOUND,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    NOT_ALLOWED,
    NOT_SAVED,
    OVERLOADED,
    SESSION_LOST,
    TIMEOUT,
    TOOL_NOT_FOUND,
    UNAVAILABLE,
    RpcError,
)
from router.messages.events import Abandoned, AdminCommand

if TYPE_CHECKING:
    from router.messages.commands import Principal, RouterCommand
    from router.messages.events import Event

ABANDON_S: Final = 5.0
"""How long a request that has ended tries to say so to an actor whose inbox is full."""

_STATUS: Final[dict[int, int]] = {
    INSTANCE_NOT_FOUND: 404,
    TOOL_NOT_FOUND: 404,
    INVALID_PARAMS: 422,
    NOT_ALLOWED: 403,
    TIMEOUT: 504,
    UNAVAILABLE: 503,
    OVERLOADED: 503,
    SESSION_LOST: 503,
    INTERNAL_ERROR: 500,
    AMBIGUOUS_CLIENT: 400,
    ALREADY_EXISTS: 409,
}
_OURS: Final = range(NOT_SAVED, INSTANCE_NOT_FOUND + 1)
"""-32019 to -32010: the codes that only the router gives."""

_NO_SPACE: Final = ({"errno": "ENOSPC"}, {"errno": "EDQUOT"})

STOPPING: Final = RpcError(UNAVAILABLE, "The router is stopping")


@attrs.frozen
class Asking:
    """The way to the actor; `inbox` is the actor's."""

    inbox: trio.MemorySendChannel[Event]

    async def ask(self, principal: Principal, question: RouterCommand) -> Any:
        """The answer to a question; what it is stands with each of them in `router.admin`.

        Raises:
            RpcError: the actor's own, or -32013 when it has stopped.
        """
        answer_in, answers = trio.open_memory_channel[Any](1)
        is_over = False
        with answer_in, answers:
            try:
                await self.inbox.send(AdminCommand(principal, question, answer_in))
                answer = await answers.receive()
                is_over = True
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
                is_over = True
                raise STOPPING from None
            finally:
                if not is_over:
                    with trio.move_on_after(ABANDON_S, shield=True):
                        await self._abandon(Abandoned(answer_in))
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def _abandon(self, abandoned: Abandoned) -> None:
        try:
            await self.inbox.send(abandoned)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the actor has stopped, and all calls with it


def status_of(error: RpcError, question: RouterCommand | None = None) -> int:
    """The HTTP status for an error.

    Of a call, what is not the router's own is what the upstream answered: the call was at fault
    there, which is 400, and the body has its message.
    """
    if isinstance(question, CallTool) and error.code not in _OURS:
        return 400
    if error.code == NOT_SAVED:
        # RFC 4918 section 11.5: the server cannot store what is needed.
        return 507 if error.data in _NO_SPACE else 500
    return _STATUS.get(error.code, 400)


def detail_of(error: RpcError) -> dict[str, Any]:
    """The body that goes with it."""
    return {"detail": {"error": error.message, "code": error.string_code}}
