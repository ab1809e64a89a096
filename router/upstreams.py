"""The upstream side of the composition: instances from `data/`, and how a session is run.

Job: load the instances without holding up the event loop, and make the child of each. Neighbours:
`app` starts the loading; the dispatch actor asks for children; `store` reads the files,
`transports.session` and `transports.connect` are what the children do.

Invariants: what an instance needs is imported in a worker thread, before the actor hears of the
instance: the first answers of the router wait for none of it.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.messages import InstancesChanged
from router.version import VERSION
from supervisors.child import ChildSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from router.dispatch import Inbound
    from router.entries import InstanceType
    from router.messages import InstanceSpec, SessionId
    from router.settings import McpClient
    from router.store import Loaded
    from supervisors.child import Run
    from transports.session import UpstreamSession
    from transports.wire import Wire

log = logging.getLogger("mcp_router.instances")

MAX_INSTANCES: Final = 4096
"""Instances that are taken from `data/`: each may cost a process."""

COMMANDS_SIZE: Final = 2 * MAX_INSTANCES
"""Commands that may wait for the supervisor of sessions: two for each instance (`dispatch`)."""

_SWITCHED_OFF: Final = "mcp_client.enabled is false in config.json"


@attrs.frozen
class Upstreams:
    """How instances are run.

    Attributes:
        settings: of the upstream side.
        inbox: of the dispatch actor; the sessions send into it.
    """

    settings: McpClient
    inbox: trio.MemorySendChannel[Inbound]
    _numbers: Iterator[SessionId] = attrs.field(factory=lambda: count(1))

    def child_of(self, spec: InstanceSpec) -> ChildSpec:
        """The supervised child that is a session of this instance; see `supervisors.child`."""
        return ChildSpec(
            spec.name, self._session(spec), start_timeout_s=self.settings.start_timeout_s
        )

    def _session(self, spec: InstanceSpec) -> Run[object]:
        return _session_class()(
            spec=spec,
            connect=partial(_connector(spec.type), spec),
            inbox=self.inbox,
            new_id=partial(next, self._numbers),
            version=VERSION,
        )


async def announce_instances(
    data: Path,
    settings: McpClient,
    inbox: trio.MemorySendChannel[Inbound],
    *,
    hide: Callable[[Iterable[str]], None],
) -> None:
    """Read `data/`, say in the log what is wrong there, and tell the actor of the rest.

    Args:
        data: the folder of providers.
        settings: whether to connect to the instances.
        inbox: of the dispatch actor.
        hide: is told the secrets before anything is logged.
    """
    loaded = await trio.to_thread.run_sync(_load, data, abandon_on_cancel=True)
    hide(loaded.secrets)
    _log_problems(loaded, data)
    specs = loaded.specs[:MAX_INSTANCES]
    if not settings.enabled:
        log.info("No upstream is connected: %s", _SWITCHED_OFF)
        specs = tuple(map(_switched_off, specs))
    await inbox.send(InstancesChanged(specs))


def _log_problems(loaded: Loaded, data: Path) -> None:
    for problem in loaded.problems:
        log.error("%s", problem)
    for spec in loaded.specs:
        if spec.problem is not None:
            log.error("%s cannot be started: %s", spec.name, spec.problem)
    surplus = len(loaded.specs) - MAX_INSTANCES
    if surplus > 0:
        log.error("%s holds %d instances too many; the last ones are left out", data, surplus)


def _switched_off(spec: InstanceSpec) -> InstanceSpec:
    """Listed as it is configured, but not to be started."""
    return attrs.evolve(spec, problem=spec.problem or _SWITCHED_OFF)


def _load(data: Path) -> Loaded:
    # For start-up time: this runs in a thread, beside the first answers.
    from router.store import load_instances

    loaded = load_instances(data, os.environ)
    for spec in loaded.specs:
        _connector(spec.type)
        _session_class()
    return loaded


# --- For start-up time: `_load` calls these in its thread first, so later they cost nothing ------


def _session_class() -> type[UpstreamSession]:
    from transports.session import UpstreamSession

    return UpstreamSession


def _connector(
    kind: InstanceType,
) -> Callable[[InstanceSpec], AbstractAsyncContextManager[Wire]]:
    if kind == "stdio":
        from transports.connect.stdio import connect_stdio

        return connect_stdio
    if kind == "http":
        from transports.connect.http import connect_http

        return connect_http
    from transports.connect.sse import connect_sse

    return connect_sse
