"""Listeners that move: other addresses in `config.json` take effect while the router runs.

Job: bind what new settings have elsewhere, then have each listener concerned restarted there, and
no other. Neighbours: `reloading` asks first (`prepare`), then has it done (`apply`); `listeners`
binds and makes the children; `app` runs their supervisor, which obeys the commands.

Invariants: the new sockets are bound before anything is let go, all or none; where one cannot be,
every listener stays where it is. Whoever is not concerned, client or server, notices nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from router.app.sockets import rebind
from supervisors.child import RestartChild

if TYPE_CHECKING:
    import trio

    from router.app.listeners import Listeners
    from router.app.sockets import Bound
    from router.config.settings import Api, Mode, Settings
    from router.dispatch import Inbound
    from supervisors.child import ChildSpec, Command


@attrs.define(eq=False)
class Relistening:
    """The listeners, and where to have them restarted.

    Attributes:
        listeners: as they are now.
    """

    listeners: Listeners
    _api: Api = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: self.listeners.settings.api, takes_self=True),
    )
    _moved: tuple[Bound, ...] = attrs.field(init=False, default=())
    _inbox: trio.MemorySendChannel[Inbound] | None = attrs.field(init=False, default=None)
    _commands: trio.MemorySendChannel[Command] | None = attrs.field(init=False, default=None)

    def children(
        self, inbox: trio.MemorySendChannel[Inbound], commands: trio.MemorySendChannel[Command]
    ) -> list[ChildSpec]:
        """The supervised children; `commands` go to their supervisor."""
        self._inbox, self._commands = inbox, commands
        return self.listeners.children(inbox)

    def prepare(self, new: Settings) -> None:
        """Bind what these settings have elsewhere; for a worker thread, as it looks up names.

        Raises:
            ConfigError: an address cannot be bound, or must not be. Nothing has changed.
        """
        self._moved = rebind(new, self.listeners.bound)

    def apply(self, new: Settings) -> None:
        """Have the listeners move to what `prepare` has bound for these settings."""
        moved: dict[Mode, Bound] = {one.mode: one for one in self._moved}
        self._moved = ()
        before = self.listeners.bound
        self.listeners.bound = tuple(moved.get(one.mode, one) for one in before)
        for one in self.listeners.bound:
            if one.mode in moved or (one.mode == "api" and _differs(self._api, new.api)):
                self._restart(one)
        for one in before:
            if one.mode in moved:
                one.sock.close()
        self._api = new.api

    def _restart(self, one: Bound) -> None:
        if self._inbox is None or self._commands is None:
            return  # What has not been started yet starts there.
        # The supervisor takes commands as they come: there is always room for one more.
        child = self.listeners.child_of(one, self._inbox)
        self._commands.send_nowait(RestartChild(one.mode, child))


def _differs(old: Api, new: Api) -> bool:
    """Is something else different that the REST API is only told when it starts?"""
    return (old.cors_origin, old.enable_realtime_logs) != (
        new.cors_origin,
        new.enable_realtime_logs,
    )
