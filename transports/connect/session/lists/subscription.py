"""The one subscription to an upstream without sessions (MCP 2026-07-28, Subscriptions).

Keeps `subscriptions/listen` open for the lists whose changes the upstream announces. `session` runs
this beside everything else and reads the lists. The answer to the request ends the subscription.

Invariants: a subscription that ends is opened again, ever more rarely if it does not last. Changes
before it was open are unknown, so all its lists are read again once it is open.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.errors import METHOD_NOT_FOUND
from router.messages.observability.log_fields import about
from router.messages.revisions import KEY_PREFIX, LISTEN_METHOD
from transports.connect.session.lists.listings import LIST_CHANGED
from transports.connect.session.requests import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.messages.frames import Notification

log = logging.getLogger("mcp_router.upstream")

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
"""Pauses between the end of a subscription and the next: each is twice as long as the last."""

STEADY_S: Final = 60.0
"""After a subscription that lasted so long, the pauses begin with the first again."""


class _ListCapability(Struct, gc=False):
    listChanged: bool = False


_list_capability: Final = msgspec.json.Decoder(_ListCapability)


class UpstreamSubscription(Struct, eq=False):
    """Learns of changed lists from an upstream that has no session to announce them in.

    Attributes:
        name: the name of the instance, for the log.
        send_request: sends a request and returns its result, or raises `RequestRefused`.
        capabilities: the capabilities whose lists may change.
        read_again: is called with each capability whose lists may have changed unnoticed.
    """

    name: str
    send_request: Callable[[str, dict[str, Any]], Awaitable[Raw]]
    capabilities: tuple[str, ...]
    read_again: Callable[[str], None]

    async def run(self) -> None:
        """Keep the subscription open for ever.

        Returns at once if no list can change, or when the upstream does not know the method.
        """
        kinds = {f"{capability}ListChanged": True for capability in self.capabilities}
        pause_s = FIRST_PAUSE_S
        await trio.lowlevel.checkpoint()
        while kinds:
            opened_at_s = trio.current_time()
            try:
                await self.send_request(LISTEN_METHOD, {"notifications": kinds})
            except RequestRefused as refused:
                if _is_unknown_method(refused):
                    text = "%s: does not tell when its lists change: %s"
                    log.info(text, self.name, refused, extra=about(self.name))
                    return
                text = "%s: subscriptions/listen was refused: %s"
                log.debug(text, self.name, refused, extra=about(self.name))
            if trio.current_time() - opened_at_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def catch_up(self) -> None:
        """Have all lists read again, now that the subscription is open (`ACKNOWLEDGED` came)."""
        for capability in self.capabilities:
            self.read_again(capability)


def capabilities_with_list_changed(capabilities: Mapping[str, Raw]) -> tuple[str, ...]:
    """Return the capabilities for which the server declares `listChanged`."""
    return tuple(
        name
        for name in LIST_CHANGED.values()
        if _declares_list_changed(capabilities.get(name, Raw()))
    )


def _declares_list_changed(capability: Raw) -> bool:
    try:
        return _list_capability.decode(capability).listChanged
    except msgspec.MsgspecError:
        return False


def _is_unknown_method(refused: RequestRefused) -> bool:
    # Some servers say so in words, under a code of their own.
    return refused.code == METHOD_NOT_FOUND or "method not found" in refused.reason.lower()


class _Meta(Struct, gc=False):
    subscription: int | str | None = msgspec.field(default=None, name=f"{KEY_PREFIX}subscriptionId")


class _Acknowledged(Struct, gc=False):
    meta: _Meta = msgspec.field(default_factory=_Meta, name="_meta")


_acknowledged: Final = msgspec.json.Decoder(_Acknowledged)


def subscription_of(frame: Notification) -> int | str | None:
    """Return the id of the request whose subscription a notification belongs to; None for none."""
    try:
        return _acknowledged.decode(frame.params).meta.subscription
    except msgspec.MsgspecError:
        return None
