"""Events about approved tools (`security.pinning`); see `events`. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from router.messages.catalog import ApprovedTool
    from router.messages.errors import RpcError


class PinsRead(Struct, frozen=True):
    """The tools that were approved, as the file of pins has them (`security.pinning`).

    It comes before the first `InstancesChanged` after pinning was switched on.

    Attributes:
        pins: instance -> tool -> its approved form.
        problem: the reason why the file cannot be used; None if it can, or if there is none.
    """

    pins: dict[str, dict[str, ApprovedTool]]
    problem: str | None = None


class ToolsPinned(Struct, frozen=True):
    """The end of a `PinTools`.

    Attributes:
        key: the key of that effect.
        digests: the JSON of each tool -> its digest.
        flags: the JSON of a tool -> sentences on what is suspicious in it.
        problem: the reason why nothing was saved; None if all was.
    """

    key: int
    digests: dict[bytes, str]
    flags: dict[bytes, tuple[str, ...]]
    problem: RpcError | None = None
