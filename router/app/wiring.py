"""The parts of one router, put together from what the command line found.

Job: from settings, paths and bound sockets to the `Plan` that `app` runs. Neighbours: `cli` above;
below, `listeners`, `relistening`, `upstreams`, `ondisk`, `reloading` and what runs them.

Invariant: what a change of `config.json` puts into force while the router runs stands here, in
one place, beside `reloading.LIVE`, which promises it.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import attrs

from router.access.admission import check_exposure
from router.app.listeners import Listeners
from router.app.relistening import Relistening
from router.app.run import Plan
from router.app.upstreams import prepare
from router.config.options import merge
from router.config.settings import read_settings
from router.reload.config_file import ConfigFile
from router.reload.file_watcher import keep_current
from router.reload.instance_store import InstanceStore, keep_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.app.sockets import Bound
    from router.config.options import Options, Paths
    from router.config.settings import Mode, Settings
    from router.logs.logs import Logs


@attrs.frozen
class Parts:
    """What there is before anything runs.

    Attributes:
        options: of the command line, which count more than the file.
        paths: of the files.
        settings: of both.
        modes: what to listen on.
        bound: the sockets for it.
        logs: are on.
    """

    options: Options
    paths: Paths
    settings: Settings
    modes: Sequence[Mode]
    bound: Sequence[Bound]
    logs: Logs


def compose(parts: Parts) -> Plan:
    """The router that is to be run.

    Raises:
        ConfigError: there is no stdin or stdout to listen on.
    """
    settings, bound = parts.settings, parts.bound
    disk = InstanceStore(
        parts.paths.data, settings.mcp_client.enabled, parts.logs.add_secrets, prepare
    )
    config = ConfigFile(parts.paths.config, settings, lambda: read_again(parts, listeners.bound))
    listeners = Listeners.open(
        settings,
        parts.modes,
        bound,
        follow=parts.logs.broadcast.follow,
        current=lambda: config.current,
        problems=lambda: (*config.problems, *disk.problems),
    )
    relistening = Relistening(listeners)
    config.prepare = relistening.prepare
    config.apply = partial(_apply, parts.logs, disk, relistening)
    return Plan(
        settings=settings,
        listeners=relistening.children,
        announce=partial(keep_current, disk, config),
        keep=partial(keep_store, disk),
        is_for_people=bool(bound) or os.isatty(2),
        mask=parts.logs.mask,
    )


def read_again(parts: Parts, bound: Iterable[Bound]) -> Settings:
    """The settings while the router runs: nothing is written, and the command line still counts.

    Args:
        parts: what the router was started with.
        bound: where it listens now; what is served there needs its token until it has moved.

    Raises:
        FileNotFoundError: the file is gone.
        ConfigError: what it says cannot be, such as no token where other machines can reach us.
    """
    settings = merge(read_settings(parts.paths.config), parts.options)
    for one in bound:
        check_exposure(one.host, settings.security)
    return settings


def _apply(logs: Logs, disk: InstanceStore, relistening: Relistening, new: Settings) -> None:
    """Put into force what `reloading.LIVE` promises, but for what the core is told."""
    logs.add_secrets(new.security.secrets)
    logs.set_level(new.logging.level)
    disk.is_switched_on = new.mcp_client.enabled
    relistening.listeners.gates.update(new)
    relistening.apply(new)
