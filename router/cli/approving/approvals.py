"""Reads the calls that wait for an approver from a running router, and shows them.

Invariant: nothing in a call can move the cursor, add a line or hide a part: its arguments are shown
as the router would send them, with escapes for what a terminal does not show.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from router.cli.rest_api.requests import ask_bytes, route
from router.cli.rest_api.rest_client import NO_ROUTER
from router.cli.text_columns import safe_line
from router.core.text.exact_json import shown_lines
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from router.cli.rest_api.rest_client import RestApi


class WaitingCall(Struct, frozen=True):
    """A row of `GET /api/approvals`; see `ListApprovals`."""

    id: str
    principal: str
    client: str
    instance: str
    tool: str
    arguments: Raw
    waiting_s: float
    expires_in_s: float

    @property
    def sha256(self) -> str:
        """The digest of the arguments that are shown here, in hex."""
        return hashlib.sha256(self.arguments).hexdigest()


def waiting_calls(api: RestApi) -> list[WaitingCall]:
    """Return the calls that wait for an approver, oldest first.

    Raises:
        ConfigError: see `requests.ask`.
    """
    try:
        return msgspec.json.decode(
            ask_bytes(api, "GET", route("approvals")), type=list[WaitingCall]
        )
    except msgspec.MsgspecError:
        raise ConfigError(api.place, NO_ROUTER) from None


def call_text(call: WaitingCall) -> str:
    """Return a call as a person reads it: a line about it, then its arguments."""
    client = f" ({safe_line(call.client)})" if call.client else ""
    principal = f"'{safe_line(call.principal)}'" if call.principal else "a client without a token"
    lines = [
        f"{safe_line(call.id)}  {safe_line(call.instance)}  {safe_line(call.tool)}",
        f"  by {principal}{client}, {call.waiting_s:.0f} s ago, "
        f"refused in {call.expires_in_s:.0f} s",
        *(f"  {line}" for line in shown_lines(call.arguments).split("\n")),
    ]
    return "".join(f"{line}\n" for line in lines)
