"""Keeps the calls that wait for a yes, of the client that made them or of an approver.

Invariants:

- The rows are in memory alone, so a router that ends refuses all of them.
- They are bounded in number, for each principal and in all, and in the size of their arguments.
- Nobody can guess an id, and none is used again, also by the next process: an approver who is too
  late decides about no other call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, field

from router.core.state.deadlines import Deadlines
from router.messages.errors import OVERLOADED, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import ClientRequest, Members
    from router.messages.frames import RequestId
    from router.messages.instances.exposure import Profile
    from router.messages.instances.instance_spec import InstanceSpec

MAX_HELD: Final = 1000
"""Calls that wait for a yes at the same time; more are refused (-32015)."""

MAX_HELD_OF_PRINCIPAL: Final = 100
"""More than a person decides about in the time that a call waits."""

MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Of the arguments of all calls that wait."""

DECIDED_KEPT: Final = 1000
"""The newest decisions that are remembered, for approvers who are too late."""


class Approval(Struct, eq=False):
    """One call that waits for a yes.

    Attributes:
        id: 8 hex digits.
        principal: the name of the principal that made the call.
        client: name and version of the program that did, as it says.
        instance: the name of the instance.
        tool: the server's name of the tool.
        arguments: as they are shown and sent.
        sha256: their digest, in hex.
        asked: the "client" that made the call, or an "approver".
        since_s, expires_at_s: the seconds of the question and of the end of its time.
        spec, profile: as they were then: with others the call might not be one that may be made.
        request: waits for the answer; None if it was answered with the question, so that the
            client makes it again with the answer (MCP 2026-07-28, Input Required).
        question: the id of the question to a client with a session; None for others.
        progress_token: the client's own raw token, or None when it wants no progress.
        told: how often the client was told that the call waits.
        for_server: the answers of the client to a question of the server, which the request
            brought; they wait here with it.
    """

    id: str
    principal: str
    client: str
    instance: str
    tool: str
    arguments: Raw
    sha256: str
    asked: Literal["client", "approver"]
    since_s: float
    expires_at_s: float
    spec: InstanceSpec
    profile: Profile
    request: ClientRequest | None
    question: RequestId | None = None
    progress_token: Raw | None = None
    told: int = 0
    for_server: Members = {}

    @property
    def subject(self) -> tuple[str, str, str]:
        """The instance, the tool and the digest that a yes is for; see `ClientRequest.approved`."""
        return self.instance, self.tool, self.sha256


class Approvals(Struct):
    """All calls that wait for a yes.

    Attributes:
        by_id: the rows, oldest first.
        due: the second at which a row is to be looked at: its client is told again that it waits,
            or its time is up.
        decided: instance, and what became of the call, in words, by the id of a row that is gone.
    """

    by_id: dict[str, Approval] = {}
    due: Deadlines[str] = field(default_factory=Deadlines[str])
    decided: dict[str, tuple[str, str]] = {}

    def check_room(self, principal: str, size: int) -> None:
        """Check that another call may wait, with arguments of so many bytes.

        Raises:
            RpcError: -32015, too many do.
        """
        rows = self.by_id.values()
        if sum(row.principal == principal for row in rows) >= MAX_HELD_OF_PRINCIPAL:
            message = f"{MAX_HELD_OF_PRINCIPAL} calls of this token wait for approval; try later"
            raise RpcError(OVERLOADED, message)
        if len(rows) >= MAX_HELD or sum(len(row.arguments) for row in rows) + size > MAX_HELD_BYTES:
            raise RpcError(OVERLOADED, "Too many calls wait for approval; try again later")

    def take(self, row: Approval, outcome: str) -> None:
        """Have a row wait no more, and remember what became of it."""
        del self.by_id[row.id]
        self.due.disarm(row.id)
        self.decided[row.id] = row.instance, outcome
        if len(self.decided) > DECIDED_KEPT:
            del self.decided[next(iter(self.decided))]
