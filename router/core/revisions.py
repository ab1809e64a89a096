"""Protocol revisions: which one a peer gets, and what differs between them.

Job: every decision that depends on a revision stands here, so that another one is added in this
module. Neighbours: `core` and `toolbox`. Pure.

The handshake revisions (2024-11-05 to 2025-11-25) are spoken. The stateless revision 2026-07-28
has its place in `refuse_stateless`: until it is spoken, its clients get the answer on which the
specification and the SDKs have them fall back to `initialize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.params import given, object_of, request_id_of, text_of
from router.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_REVISION, RpcError
from router.messages import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE_REVISION

if TYPE_CHECKING:
    from msgspec import Raw

ENVELOPE_REVISION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
"""`params._meta` member that marks a request of the stateless era (MCP 2026-07-28)."""


def negotiate(requested: str) -> str:
    """The revision to answer `initialize` with.

    MCP 2025-11-25, Lifecycle, Version Negotiation: the requested one if it is supported,
    otherwise the latest the server supports.
    """
    return requested if requested in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE_REVISION


def has_structured_content(revision: str) -> bool:
    """Does a tool result carry `structuredContent` (since 2025-06-18)?"""
    return revision >= "2025-06-18"


def refuse_stateless(meta: dict[str, Raw]) -> None:
    """Refuse a request that carries the stateless era's envelope.

    Args:
        meta: the members of `params._meta`.

    Raises:
        RpcError: -32022 with `supported` and `requested`, on which a client of both eras
            falls back to `initialize`.
    """
    requested = request_id_of(meta, ENVELOPE_REVISION_KEY)
    if isinstance(requested, str) and requested not in HANDSHAKE_REVISIONS:
        raise RpcError(
            UNSUPPORTED_REVISION,
            f"Protocol revision {requested} is not supported here; use initialize",
            {"supported": list(HANDSHAKE_REVISIONS), "requested": requested},
        )


# --- What a client may be asked --------------------------------------------------------------


def check_may_ask(
    method: str, params: dict[str, Raw], revision: str, capabilities: dict[str, Raw]
) -> None:
    """May an upstream's request go to a client of this revision that declared this?

    Args:
        method: of the request.
        params: its members.
        revision: the client's.
        capabilities: the client's, by name.

    Raises:
        RpcError: -32601, it does not know the method; -32602, it knows it but not in this form.
            Both are what the client itself would have to answer.
    """
    known = _QUESTIONS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
    capability, since = known
    if revision < since or capability not in capabilities:
        raise RpcError(METHOD_NOT_FOUND, f"The client does not support {method}")
    lacking = _lacking(method, params, revision, object_of(capabilities[capability], capability))
    if lacking is not None:
        raise RpcError(INVALID_PARAMS, f"The client does not support {lacking}")


_QUESTIONS: Final = {
    "roots/list": ("roots", "2024-11-05"),
    "sampling/createMessage": ("sampling", "2024-11-05"),
    "elicitation/create": ("elicitation", "2025-06-18"),
}
"""Requests of servers -> the capability that covers them, and the revision that brought them."""

_FORMS_SINCE: Final = "2025-11-25"
"""Brought URL mode to elicitation and tools to sampling, and capabilities for each."""


def _lacking(
    method: str, params: dict[str, Raw], revision: str, declared: dict[str, Raw]
) -> str | None:
    """The form of the method that this request needs and the client did not declare."""
    declared = declared if revision >= _FORMS_SINCE else {}
    if method == "elicitation/create":
        mode = "form" if given(params, "mode") is None else text_of(params, "mode")
        # No mode declared means form mode (MCP 2025-11-25, Elicitation, Capabilities).
        modes = {"form", "url"} & declared.keys() or {"form"}
        return None if mode in modes else f"elicitation in {mode} mode"
    if method == "sampling/createMessage" and "tools" not in declared:
        wants = given(params, "tools") is not None or given(params, "toolChoice") is not None
        return "sampling with tools" if wants else None
    return None
