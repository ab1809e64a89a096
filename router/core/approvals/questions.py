"""Words the question whether a call may be carried out, and reads its answer.

The question is a form of one field (MCP 2025-11-25, Elicitation, Form Mode).

Invariants:

- Pure. A person is shown the whole call or is not asked: what does not fit into a form is for an
  approver.
- Only an accepted form whose field is true is a yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from router.core.protocol.questions import check_may_ask
from router.core.text.exact_json import shown_lines, visible
from router.messages.errors import RpcError
from router.messages.frames import Response

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client
    from router.messages.frames import ErrorResponse

METHOD: Final = "elicitation/create"

FORM_LIMIT: Final = 4000
"""Characters of a question: more than this, nobody reads in a form before they say yes."""

_FIELD: Final = "approve"

_SCHEMA: Final = {
    "type": "object",
    "properties": {
        _FIELD: {
            "type": "boolean",
            "title": "Approve",
            "description": "Carry out this call, once, with exactly these arguments",
        }
    },
    "required": [_FIELD],
}


def question_about(instance: str, tool: str, arguments: Raw) -> dict[str, Any] | None:
    """Return the `params` of the question about a call; None if it is too long for a form.

    Args:
        instance: the name of the instance.
        tool: the server's name of the tool.
        arguments: as they will be sent.
    """
    if len(arguments) > FORM_LIMIT * 4:  # UTF-8 has at most four bytes for a character.
        return None
    message = (
        f"May this tool be called?\n\nInstance: {visible(instance)}\nTool: {visible(tool)}\n"
        f"Arguments:\n{shown_lines(arguments)}"
    )
    return None if len(message) > FORM_LIMIT else {"message": message, "requestedSchema": _SCHEMA}


def may_be_asked(client: Client) -> bool:
    """Return whether a client has said that its person fills in forms, and can be reached."""
    if client.one_shot and not client.is_stateless:
        return False  # Over a lone request of a handshake revision no answer could come.
    try:
        check_may_ask(METHOD, {}, client.revision, client.capabilities)
    except RpcError:
        return False
    return True


class _Answer(Struct):
    action: str
    content: dict[str, Any] | None = None


def is_yes(answer: Response | ErrorResponse) -> bool:
    """Return whether the answer of a client to the question is a yes."""
    return isinstance(answer, Response) and is_yes_in(answer.result)


def is_yes_in(result: Raw | None) -> bool:
    """Return whether a raw `ElicitResult` is a yes; None is no answer."""
    try:
        answer = msgspec.json.decode(result or b"", type=_Answer)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return answer.action == "accept" and (answer.content or {}).get(_FIELD) is True
