"""Makes the records of the begins and ends of clients' sessions.

A session says which client it is with its first request, so its begin is recorded then. A session
that is ended before it said anything gets both records at its end.

Invariant: each session that is open while records are wanted gets one record of its begin, and one
of its end after it. A lone request and the sender of a command have no session.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from router.core.protocol.bridging import CLIENT_INFO_KEY
from router.core.text.raw_json import is_object, optional_text_of
from router.messages.effects import WriteRecord
from router.messages.errors import RpcError
from router.messages.observability.records import SessionRecord
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState


def begin(state: RoutingState, request: ClientRequest) -> None:
    """Have the begin of a session recorded, with the first request of it."""
    client = request.client
    if client.is_for_one_request:
        return
    info = None
    with suppress(RpcError):  # Whatever is wrong with the request is its answer.
        params = request.params
        is_handshake = request.method == "initialize"
        members, key = (
            (params.members, "clientInfo") if is_handshake else (params.meta, CLIENT_INFO_KEY)
        )
        info = given(members, key)
    _write_begin(state, client, "" if info is None else name_and_version(info))


def end(state: RoutingState, client: Client, reason: str) -> None:
    """Have the end of a session recorded, if that is wanted."""
    if not state.settings.records or client.is_for_one_request:
        return
    if not client.is_recorded:
        _write_begin(state, client, "")
    _write(state, client, is_open=False, client_info=name_and_version(client.info), reason=reason)


def _write_begin(state: RoutingState, client: Client, client_info: str) -> None:
    client.is_recorded = True
    _write(state, client, is_open=True, client_info=client_info)


def _write(
    state: RoutingState, client: Client, *, is_open: bool, client_info: str, reason: str = ""
) -> None:
    record = SessionRecord(
        principal=client.principal.name,
        address=client.address,
        client=client.id,
        is_open=is_open,
        client_info=client_info,
        reason=reason,
    )
    state.effects.append(WriteRecord(record))


MAX_INFO = 200
"""Characters of `name` and `version` together: the client chooses them."""


def name_and_version(info: Raw) -> str:
    """Return name and version in an `Implementation` object, as far as there are any."""
    if not is_object(info):
        return ""
    with suppress(RpcError):
        members = object_of(info)
        texts = (optional_text_of(members, key) or "" for key in ("name", "version"))
        return " ".join(filter(None, texts))[:MAX_INFO]
    return ""
