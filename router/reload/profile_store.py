"""Shows the profiles in force, and changes them in `config.json`, one change at a time.

Invariant: a change is answered once it is safely on disk and in force, or with the reason why not.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import trio
import trio.lowlevel
from msgspec import Struct

from router.config.profile_edits import no_such_profile, save_profile
from router.config.redacted import mask_secrets
from router.messages.errors import ALREADY_EXISTS, NOT_SAVED, UNAVAILABLE, RpcError
from router.reload.safe_saving import try_to_save

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.dispatch.actor import Inbound
    from router.messages.instances.exposure import Profile
    from router.reload.live_settings import LivePart, LiveSettings

log = logging.getLogger("mcp_router.config")

CHANGES_SIZE: Final = 16
"""Changes that wait for the disk; each takes it some milliseconds."""


class ProfileChange(Struct, frozen=True):
    """A change that somebody waits for.

    Attributes:
        name: of the profile.
        value: the profile as it is to stand in the file; None removes it.
        reply: gets True if there was a profile of this name before, else False, or an error.
    """

    name: str
    value: dict[str, Any] | None
    reply: trio.MemorySendChannel[bool | RpcError]


class ProfileStore:
    """The profiles of `config.json`.

    Args:
        settings: the settings in force.
        is_instance: returns whether an instance has this name.

    Attributes:
        changes: for `keep_profiles`, which makes them.
    """

    def __init__(self, settings: LiveSettings, is_instance: Callable[[str], bool]) -> None:
        self._settings = settings
        self._is_instance = is_instance
        self._changes_in, self.changes = trio.open_memory_channel[ProfileChange](CHANGES_SIZE)

    def rows(self) -> list[dict[str, Any]]:
        """Return all profiles with all their keys and `name`."""
        return [_row(name, profile) for name, profile in self._settings.current.profiles.items()]

    def row(self, name: str) -> dict[str, Any]:
        """Return one of `rows`.

        Raises:
            RpcError: -32010, there is no such profile.
        """
        profiles = self._settings.current.profiles
        if name not in profiles:
            raise no_such_profile(name, profiles)
        return _row(name, profiles[name])

    async def put(self, name: str, value: dict[str, Any]) -> bool:
        """Add a profile or replace it as a whole; return True if there was none of this name.

        Raises:
            RpcError: -32018, an instance has this name; -32602, a mistake in `value`; -32019, the
                file cannot be written, or cannot come into force; -32013, the router stops.
        """
        return not await self._ask(name, value)

    async def remove(self, name: str) -> None:
        """Remove a profile.

        Raises:
            RpcError: -32010, there is no such profile; -32602, something refers to it; otherwise
                as `put`.
        """
        await self._ask(name, None)

    async def _ask(self, name: str, value: dict[str, Any] | None) -> bool:
        reply, answers = trio.open_memory_channel[bool | RpcError](1)
        with answers:
            try:
                await self._changes_in.send(ProfileChange(name, value, reply))
                answer = await answers.receive()
            except (trio.BrokenResourceError, trio.EndOfChannel):
                raise RpcError(UNAVAILABLE, "The router is stopping") from None
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def make(
        self,
        change: ProfileChange,
        parts: Sequence[LivePart],
        inbox: trio.MemorySendChannel[Inbound],
    ) -> bool | RpcError:
        """Make a change, put it into force, and return the reply to it."""
        name, value, settings = change.name, change.value, self._settings
        is_new = name not in settings.current.profiles
        if value is not None and is_new and self._is_instance(name):
            await trio.lowlevel.checkpoint()
            return RpcError(
                ALREADY_EXISTS, f"'{name}' is the name of an instance; choose another name"
            )
        save = partial(save_profile, settings.path, name, value)
        saved = await trio.to_thread.run_sync(try_to_save, save, "The change of a profile")
        if isinstance(saved, RpcError):
            return saved
        log.info(
            "%s: profiles.%s is %s",
            settings.path.name,
            name,
            "removed" if value is None else "saved",
        )
        await settings.reload_and_tell(parts, inbox)
        if settings.current.profiles.get(name) != saved.profile:
            why = "; ".join(settings.problems)
            return RpcError(NOT_SAVED, f"The change is on disk, and cannot come into force: {why}")
        return saved.was_there


def _row(name: str, profile: Profile) -> dict[str, Any]:
    return {"name": name, **cast("dict[str, Any]", mask_secrets(profile))}


async def keep_profiles(
    store: ProfileStore, parts: Sequence[LivePart], inbox: trio.MemorySendChannel[Inbound]
) -> None:
    """Make the changes that are asked for, one after the other, until cancelled.

    Args:
        store: takes the changes.
        parts: the parts that apply new settings.
        inbox: the dispatch actor's; closed at the end.
    """
    with store.changes, inbox:
        async for change in store.changes:
            with change.reply, suppress(trio.BrokenResourceError):  # nobody waits any more
                change.reply.send_nowait(await store.make(change, parts, inbox))
