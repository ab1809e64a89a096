"""Hands effects to the tasks that perform them beside the actor."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import trio

from router.messages.effects import PinTools
from router.messages.own_tools.code_runs import EndCode, RunCode
from router.messages.own_tools.search import IndexTools, SearchTools

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("mcp_router.dispatch")

HandedOn: TypeAlias = PinTools | IndexTools | SearchTools | RunCode | EndCode
"""An effect that others perform."""

HANDED_ON: Final = get_args(HandedOn)

Elsewhere: TypeAlias = "Mapping[type[Any], trio.MemorySendChannel[Any]]"
"""The type of an effect -> the channel of the task that performs it; other effects are dropped.

Each channel has room, always. The one to the index has no size: nothing bounds how often servers
change their lists. After each step the index takes all that wait, and keeps the last of each row.
"""

NOWHERE: Final[Elsewhere] = {}
"""Nobody performs anything, as in tests."""


def hand_on(elsewhere: Elsewhere, effect: HandedOn) -> None:
    """Hand an effect to the task that performs it, if there is one."""
    channel = elsewhere.get(type(effect))
    try:
        if channel is not None:
            channel.send_nowait(effect)
    except trio.BrokenResourceError:
        log.debug("nobody performs a %s any more", type(effect).__name__)
