"""Conversations about calls that need a yes: `rm` of the instance `a`, and its other tools."""

from typing import Any

from router.messages.commands import DecideApproval, ListApprovals, Principal
from router.messages.instances.exposure import Exposure, NameFilter
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentCommand,
    SentRequest,
    StatelessClient,
)

TOOLS = ("read", "rm", "rm_all")
NEEDS_YES = Exposure(tools=NameFilter(approve=("rm*",)))
ASK_S, WAIT_S = 120.0, 300.0
YES = {"action": "accept", "content": {"approve": True}}
FORM: dict[str, Any] = {"elicitation": {}}

CALLER = Principal("agent", frozenset({"call", "read"}))
APPROVER = Principal("ops", frozenset({"approve"}))
LOCAL = Principal("@local")


def asking(**settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """A client with a session that fills in forms, and the server."""
    talk = Conversation(**settings)
    upstream = talk.with_instance("a", *TOOLS, exposure=NEEDS_YES)
    client = talk.client(principal=CALLER)
    client.initializes(**FORM)
    return talk, client, upstream


def waiting(**settings: Any) -> tuple[Conversation, SentRequest, FakeUpstream]:
    """A call of a client that fills in no forms."""
    talk, _, upstream = asking(**settings)
    client = talk.client("plain", principal=CALLER)
    client.initializes()
    return talk, client.calls("a__rm", {"path": "/x"}), upstream


def question_of(call: SentRequest) -> dict[str, Any]:
    """Return the question that came on the stream of a call, and take it from there."""
    (question,) = [frame for frame in call.mailbox.take() if "method" in frame]
    assert question["method"] == "elicitation/create"
    return question


def listed(talk: Conversation, principal: Principal = APPROVER) -> list[dict[str, Any]]:
    """Return the calls that an approver sees."""
    return talk.admin_asks(ListApprovals(), principal).answer


def decides(
    talk: Conversation, *, approve: bool, principal: Principal = APPROVER, **changes: Any
) -> SentCommand:
    """Decide about the only call that waits."""
    (row,) = listed(talk)
    what = {"id": row["id"], "arguments_sha256": row["arguments_sha256"]} | changes
    return talk.admin_asks(DecideApproval(approve=approve, **what), principal)


def retried(client: StatelessClient, asked: SentRequest, answer: Any = YES) -> SentRequest:
    """Make the same call again, with an answer to the question."""
    answers = {} if answer is None else {"mcp-router-approval": answer}
    return client.retries(asked, answers, tool_name="rm")


def nothing_waits(talk: Conversation) -> bool:
    """Return whether nothing has piled up."""
    approvals = talk.state.approvals
    held = [client for client in talk.state.clients.values() if client.held]
    return not approvals.by_id and not len(approvals.due) and not held
