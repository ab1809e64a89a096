"""The `params` of one message, decoded at most once whoever has to look into them.

A listener that compares headers with a message reads its `params` first; the core then reads on
from the same object.

Invariant: what is read here is also what goes out. Whoever forwards a message that was read
encodes it anew from the decoded members, so that no peer finds a duplicate key in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import NO_RAW

if TYPE_CHECKING:
    from collections.abc import Mapping

_object: Final = msgspec.json.Decoder(dict[str, Raw])


def object_of(raw: Raw | None, place: str = "params") -> dict[str, Raw]:
    """Return the members of a raw object, in order; an absent object has none.

    Args:
        raw: the object.
        place: names the object in the error.

    Raises:
        RpcError: -32602, it is no object.
    """
    if not raw:
        return {}
    try:
        return _object.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        raise RpcError(INVALID_PARAMS, f"{place} must be an object") from None


def given(members: Mapping[str, Raw], key: str) -> Raw | None:
    """Return the value at `key`; None for null too, which many write for what they leave out."""
    raw = members.get(key)
    return None if raw is None or (len(raw) == 4 and bytes(raw) == b"null") else raw


class Params(Struct, gc=False):
    """The `params` of one message; they are read, and never changed.

    Attributes:
        raw: as they came.
        param_headers: for a tool call of 2026-07-28 over HTTP, the decoded values of its
            `Mcp-Param-*` headers, by the rest of their names in lower case; None for a value that
            cannot be read. None for every other message.
        forwarded: the headers of the client's HTTP request that some instance forwards, by their
            names in lower case; None for a message without any. The only member that changes: a
            listener sets it before it hands the message on.
    """

    raw: Raw = NO_RAW
    _members: dict[str, Raw] | None = None
    _meta: dict[str, Raw] | None = None
    param_headers: dict[str, str | None] | None = None
    forwarded: dict[str, str] | None = None

    @classmethod
    def from_members(cls, members: dict[str, Raw]) -> Params:
        """Return the `params` of a request that the router makes itself."""
        return cls(NO_RAW, members)

    @property
    def members(self) -> dict[str, Raw]:
        """The members, each raw; none where there are no `params`.

        Raises:
            RpcError: -32602, they are no object.
        """
        members = self._members
        if members is None:
            members = self._members = object_of(self.raw)
        return members

    @property
    def meta(self) -> dict[str, Raw]:
        """The members of `_meta`, each raw; none where `_meta` is absent or null.

        Raises:
            RpcError: -32602, `params` or `_meta` is no object.
        """
        meta = self._meta
        if meta is None:
            meta = self._meta = object_of(given(self.members, "_meta"), "params._meta")
        return meta
