"""Decides which questions a server may ask a client, and what a server is told of its client.

Servers ask for roots, samplings and elicitations. A server with sessions is told in `initialize` of
what it may ask for (MCP 2025-11-25, Lifecycle).

Invariant: a server is told of nothing that the router would refuse to ask this client for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.text.raw_json import EMPTY_OBJECT, is_object, optional_text_of, text_of
from router.messages.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from router.messages.frames import NO_RAW
from router.messages.instances.instance_spec import ClientIdentity
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.messages.frames import RequestId

# --- Questions of servers --------------------------------------------------------------------

_QUESTIONS: Final = {
    "roots/list": ("roots", "2024-11-05"),
    "sampling/createMessage": ("sampling", "2024-11-05"),
    "elicitation/create": ("elicitation", "2025-06-18"),
}
"""Requests of servers -> the capability that covers them, and the revision that brought them."""


class InputRequest(Struct, frozen=True, eq=False):
    """A request of an upstream that a client without a session answers when it retries its call.

    Attributes:
        upstream_id: the upstream's own id for it.
        raw: `method` and `params`, as they stand in `inputRequests`.
    """

    upstream_id: RequestId
    raw: Raw


class InputRound(Struct, eq=False):
    """The input that an upstream without sessions needs before it goes on with a call.

    Attributes:
        request_state: its `requestState`, raw; `NO_RAW` if it sent none.
        unanswered: the keys of `inputRequests` that have no answer yet.
        number: how often the upstream has asked for input, 1 for the first time.
        responses: the client's answers, by those keys.
    """

    request_state: Raw
    unanswered: set[str]
    number: int
    responses: dict[str, Raw] = {}


_FORMS_SINCE: Final = "2025-11-25"
"""Brought URL mode to elicitation and tools to sampling, and a capability for each form."""


def is_question(method: str) -> bool:
    """Return whether the router knows this request of servers."""
    return method in _QUESTIONS


def check_may_ask(
    method: str, params: dict[str, Raw], revision: str, capabilities: dict[str, Raw]
) -> None:
    """Check that a client supports an upstream's request.

    Args:
        method: the method of the request.
        params: the members of its `params`.
        revision: the client's revision.
        capabilities: the capabilities that the client declared, by name.

    Raises:
        RpcError: -32601, the client does not support the method; -32602, it does not support this
            form of the method. The client itself would have to answer with the same codes.
    """
    question = _QUESTIONS.get(method)
    if question is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
    capability, since = question
    if revision < since or capability not in capabilities:
        raise RpcError(METHOD_NOT_FOUND, f"The client does not support {method}")
    form = _missing_form(method, params, revision, object_of(capabilities[capability], capability))
    if form is not None:
        raise RpcError(INVALID_PARAMS, f"The client does not support {form}")


def _missing_form(
    method: str, params: dict[str, Raw], revision: str, declared: dict[str, Raw]
) -> str | None:
    """Return the form of the method that the request needs and the client did not declare."""
    declared = declared if revision >= _FORMS_SINCE else {}
    if method == "elicitation/create":
        mode = "form" if given(params, "mode") is None else text_of(params, "mode")
        # No mode declared means form mode (MCP 2025-11-25, Elicitation, Capabilities).
        modes = {"form", "url"} & declared.keys() or {"form"}
        return None if mode in modes else f"elicitation in {mode} mode"
    if method == "sampling/createMessage" and "tools" not in declared:
        needs_tools = given(params, "tools") is not None or given(params, "toolChoice") is not None
        return "sampling with tools" if needs_tools else None
    return None


# --- Clients as servers know them ------------------------------------------------------------

_REQUIRED: Final = ("name", "version")


def identity_of(info: Raw, revision: str, declared: dict[str, Raw]) -> ClientIdentity:
    """Return what a server is told of a client.

    Args:
        info: the client's `Implementation`, raw; `NO_RAW` if it sent none.
        revision: the client's revision.
        declared: the capabilities that it declared, by name.
    """
    is_whole = is_object(info) and all(optional_text_of(object_of(info), key) for key in _REQUIRED)
    capabilities = {
        capability: declared[capability] if revision >= _FORMS_SINCE else EMPTY_OBJECT
        for capability, since in _QUESTIONS.values()
        if since <= revision and is_object(declared.get(capability, NO_RAW))
    }
    if "roots" in capabilities:
        # Its `listChanged` is as old as the capability itself.
        capabilities["roots"] = declared["roots"]
    return ClientIdentity(info if is_whole else NO_RAW, capabilities)
