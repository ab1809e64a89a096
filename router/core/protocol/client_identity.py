"""Tells a server about the one client that it serves (`initialize`, MCP 2025-11-25, Lifecycle).

Invariant: a server is told of nothing that the router would refuse to ask this client for
(`bridging.check_may_ask`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.protocol.bridging import FORMS_SINCE, QUESTIONS
from router.core.protocol.raw_json import EMPTY_OBJECT, is_object, optional_text_of
from router.messages.frames import NO_RAW
from router.messages.instance_spec import ClientIdentity
from router.messages.params import object_of

if TYPE_CHECKING:
    from msgspec import Raw

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
        capability: declared[capability] if revision >= FORMS_SINCE else EMPTY_OBJECT
        for capability, since in QUESTIONS.values()
        if since <= revision and is_object(declared.get(capability, NO_RAW))
    }
    if "roots" in capabilities:
        # Its `listChanged` is as old as the capability itself.
        capabilities["roots"] = declared["roots"]
    return ClientIdentity(info if is_whole else NO_RAW, capabilities)
