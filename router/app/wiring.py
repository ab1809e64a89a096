"""The parts of one router, wired together.

`Router` holds the parts and decides nothing. Nothing runs yet: `run` starts what is here.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field

from router.access.live_admission import LiveAdmission
from router.access.places import Places
from router.app.first_starts import FirstStarts
from router.app.listeners import Listeners
from router.app.listening.browser_login import BrowserLogin
from router.app.listening.oauth_parts import load_open_routes, new_resource_server
from router.app.listening.stdio_streams import take_stdio
from router.app.logins.lazy_logins import LazyLogins
from router.app.logins.router_logins import RouterLogins
from router.app.records import Records, log_call
from router.app.upstreams import COMMANDS_SIZE, Upstreams, prepare
from router.dispatch.actor import INBOX_SIZE, Inbound
from router.dispatch.after_batch import AfterBatch
from router.messages.effects import PinTools, SaveCatalogue, SaveInstance
from router.messages.observability.metrics import ActorCounts
from router.messages.own_tools.code_runs import EndCode, RunCode
from router.messages.own_tools.search import IndexTools, SearchTools
from router.reload.catalogue_store import CatalogueStore
from router.reload.file_watcher import ReloadRequest
from router.reload.instance_store import MAX_INSTANCES, InstanceStore
from router.reload.live_settings import LiveSettings
from router.reload.package_store import PackageStore
from router.reload.pin_store import PinStore
from router.reload.profile_store import ProfileStore
from router.search.semantic.semantic_reranker import SemanticReranker
from supervisors.child import Command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from router.access.refusals import Refusals
    from router.app.listening.local_port import LocalPort
    from router.app.listening.local_socket import LocalSocket
    from router.app.sockets import Bound
    from router.audit.audit_log import AuditLog
    from router.config.options import Options, Paths
    from router.config.settings import Settings
    from router.config.values import Mode
    from router.logs.logs import Logs
    from router.messages.core_settings import RecordReason
    from router.messages.instances.instance_spec import InstanceSpec
    from router.reload.live_settings import LivePart
    from router.service_manager.notifications import ServiceManager
    from router.telemetry.telemetry import Telemetry

    ShowStart: TypeAlias = Callable[
        [trio.MemorySendChannel[Inbound], Mapping[str, str]], Awaitable[None]
    ]

LISTENER_COMMANDS_SIZE: Final = 16
"""Commands to the listeners' supervisor, which takes them at once: one for each listener that moves
in a change of `config.json`."""

SAVES_SIZE: Final = 64
"""Changes that wait for the disk; each takes it some milliseconds."""

CATALOGUES_SIZE: Final = MAX_INSTANCES
"""Catalogues that wait for the disk: all instances may become ready while it is slow."""


PINS_SIZE: Final = 16
"""Tools to be digested and saved: the core sends the next when it has heard of the last, unless the
setting was switched off and on meanwhile."""


class Channels(Struct, frozen=True):
    """The memory channels between the parts, each with its two ends.

    Attributes:
        inbox_in, inbox: events for the dispatch actor, from everybody.
        upstream_commands_in, upstream_commands: from the actor to the supervisor of the sessions.
        listener_commands_in, listener_commands: to the supervisor of the listeners.
        saves_in, saves: changes of `data/`, from the actor to the instance store.
        catalogues_in, catalogues: catalogues to be kept on disk, from the actor to their store.
        pins_in, pins: tools to be digested and saved, from the actor to the store of pins.
        searches_in, searches: searches and what can be found, from the actor to the search index.
        runs_in, runs: runs of code and their ends, from the actor to the task that runs code.
    """

    inbox_in: trio.MemorySendChannel[Inbound]
    inbox: trio.MemoryReceiveChannel[Inbound]
    upstream_commands_in: trio.MemorySendChannel[Command]
    upstream_commands: trio.MemoryReceiveChannel[Command]
    listener_commands_in: trio.MemorySendChannel[Command]
    listener_commands: trio.MemoryReceiveChannel[Command]
    saves_in: trio.MemorySendChannel[SaveInstance]
    saves: trio.MemoryReceiveChannel[SaveInstance]
    catalogues_in: trio.MemorySendChannel[SaveCatalogue]
    catalogues: trio.MemoryReceiveChannel[SaveCatalogue]
    pins_in: trio.MemorySendChannel[PinTools]
    pins: trio.MemoryReceiveChannel[PinTools]
    searches_in: trio.MemorySendChannel[IndexTools | SearchTools]
    searches: trio.MemoryReceiveChannel[IndexTools | SearchTools]
    runs_in: trio.MemorySendChannel[RunCode | EndCode]
    runs: trio.MemoryReceiveChannel[RunCode | EndCode]

    @classmethod
    def open(cls) -> Channels:
        """Open all of them."""
        return cls(
            *trio.open_memory_channel[Inbound](INBOX_SIZE),
            *trio.open_memory_channel[Command](COMMANDS_SIZE),
            *trio.open_memory_channel[Command](LISTENER_COMMANDS_SIZE),
            *trio.open_memory_channel[SaveInstance](SAVES_SIZE),
            *trio.open_memory_channel[SaveCatalogue](CATALOGUES_SIZE),
            *trio.open_memory_channel[PinTools](PINS_SIZE),
            *trio.open_memory_channel[IndexTools | SearchTools](math.inf),
            # A run that is cancelled makes room for the next one before its end has been taken.
            *trio.open_memory_channel[RunCode | EndCode](math.inf),
        )

    @property
    def elsewhere(self) -> dict[type[Any], trio.MemorySendChannel[Any]]:
        """The type of an effect -> the channel of the task that performs it."""
        return {
            PinTools: self.pins_in,
            IndexTools: self.searches_in,
            SearchTools: self.searches_in,
            RunCode: self.runs_in,
            EndCode: self.runs_in,
        }


class Router(Struct, frozen=True):
    """One router.

    Attributes:
        channels: the channels between the parts.
        settings: the settings in force.
        instances: reads and changes `data/`.
        catalogues: keeps the last known lists of the instances on disk.
        pins: keeps the approved tools of the instances on disk.
        profiles: shows the profiles in force, and changes them in `config.json`.
        upstreams: makes the child of each instance.
        listeners: makes the children that listen.
        logins: log in to remote servers.
        refusals: reports the requests that no token or header let in.
        parts: the parts that apply new settings.
        reload_request: has the files read again.
        logs: the logs, set up already; they mask known secrets in what servers say.
        actor_counts: the numbers of what the dispatch actor has done.
        records: hands the records of calls and changes to those who keep them.
        after_batch: holds what the actor does after each batch of events.
        audit: the audit log, one of those; None if none is wanted.
        telemetry: the export by OpenTelemetry; None if no variable asks for one.
        is_for_people: True to say in the log how to stop.
        show_start: shows a person how the instances get up, given the actor's inbox and the URLs
            of the listeners; None if nobody looks.
        reranker: ranks by meaning what searches found by words; None for words alone.
        service_manager: is told how the router is; None if no service manager wants to know.
    """

    channels: Channels
    settings: LiveSettings
    instances: InstanceStore
    catalogues: CatalogueStore
    pins: PinStore
    profiles: ProfileStore
    upstreams: Upstreams
    listeners: Listeners
    logins: RouterLogins
    refusals: Refusals
    parts: Sequence[LivePart]
    reload_request: ReloadRequest
    logs: Logs
    actor_counts: ActorCounts
    records: Records
    after_batch: AfterBatch = field(default_factory=AfterBatch)
    audit: AuditLog | None = None
    telemetry: Telemetry | None = None
    is_for_people: bool = False
    show_start: ShowStart | None = None
    reranker: SemanticReranker | None = None
    service_manager: ServiceManager | None = None

    def hang_up(self) -> None:
        """Do what SIGHUP asks for: leave logs that were moved away, and read all files again."""
        self.logs.reopen_file()
        if self.audit is not None:
            self.audit.reopen()
        self.reload_request.make()
        if self.service_manager is not None:
            self.service_manager.hang_up()

    def close(self, *, is_hurried: bool) -> None:
        """Write and export what still waits; the event loop has ended.

        Args:
            is_hurried: export nothing more, because a second signal came.
        """
        if self.audit is not None:
            self.audit.close()
        if self.telemetry is not None and not is_hurried:
            self.telemetry.close()


def wire(
    options: Options,
    paths: Paths,
    settings: Settings,
    modes: Sequence[Mode],
    bound: Sequence[Bound],
    logs: Logs,
    *,
    telemetry: Telemetry | None = None,
    is_for_people: bool = False,
    show_start: ShowStart | None = None,
    service_manager: ServiceManager | None = None,
    local: LocalSocket | LocalPort | None = None,
) -> Router:
    """Wire the parts of a router.

    Args:
        options: the options of the command line, which override the file.
        paths: the paths of the files.
        settings: the settings of the file, overridden by the options.
        modes: the modes to listen on.
        bound: the sockets of these modes.
        logs: the logs, set up already.
        telemetry: see `Router`.
        is_for_people: see `Router`.
        show_start: see `Router`.
        service_manager: is to be told how the router is, if there is one.
        local: the local socket or port, if there is one.

    Raises:
        ConfigError: stdio is a mode, and there is no stdin or stdout; or the audit log cannot be
            written.
    """
    channels = Channels.open()
    reasons: frozenset[RecordReason] = (
        frozenset() if telemetry is None else telemetry.record_reasons
    )
    live = LiveSettings(paths.config, options, settings, reasons)
    reach: dict[Mode, str] = {one.mode: one.reach for one in bound if one.is_handed_over}
    admission = LiveAdmission(settings, reach, new_resource_server)
    places = Places(settings, paths.config.name, options.view)
    places.forwarding_changed = admission.forget_heads
    catalogues, pins = CatalogueStore(paths.cache), PinStore(paths.pins)
    records, actor_counts = Records([log_call]), ActorCounts()
    lazy = LazyLogins(paths.config, lambda: live.current.server.public_url)
    lazy.subject_token, admission.keeps_tokens = admission.token_of, lazy.takes_tokens_of_persons
    browser_login = BrowserLogin(live, admission, any(one.mode == "api" for one in bound))
    logins = RouterLogins(lazy, logs.add_token, records.write, sign_in_of=browser_login.sign_in_of)
    instances = InstanceStore(
        paths.data,
        catalogues,
        live,
        logs.add_secrets,
        partial(_prepare, lazy),
        partial(_take_instances, places, lazy),
        secrets_file=paths.secrets,
        pins=pins,
    )
    reranker = SemanticReranker(settings.server.search_model, paths.config.parent)
    profiles = ProfileStore(live, places.is_instance)
    admission.refusals.on_record = records.write
    if telemetry is not None:
        records.keepers.append(telemetry.write)
    first_starts = FirstStarts(PackageStore(paths.cache))
    after_batch = AfterBatch()
    upstreams = Upstreams(
        settings.mcp_client,
        channels.inbox_in,
        paths.data,
        first_starts,
        after_batch.put,
        credentials=logins.credentials_for,
    )
    listeners = Listeners(
        settings=live,
        instances=instances,
        profiles=profiles,
        admission=admission,
        places=places,
        follow=logs.broadcast.follow,
        write_record=records.write,
        actor_counts=actor_counts,
        drops={"audit": records.dropped, "log": logs.lost_count},
        inbox=channels.inbox_in,
        commands=channels.listener_commands_in,
        bound=bound,
        stdio=take_stdio(modes),
        local=local,
        open_routes=(
            partial(load_open_routes, lambda: admission.server.rules),
            logins.open_routes,
        ),
        logins=logins,
        browser_login=browser_login,
    )
    logins.bound = lambda: listeners.bound
    audit = _open_audit(settings, paths, logs)
    if audit is not None:
        records.keepers.append(audit.put)
        records.drop_counts.append(audit.dropped_count)
    return Router(
        channels=channels,
        settings=live,
        instances=instances,
        catalogues=catalogues,
        pins=pins,
        profiles=profiles,
        upstreams=upstreams,
        listeners=listeners,
        logins=logins,
        refusals=admission.refusals,
        parts=(logs, admission, places, listeners, reranker),
        reload_request=ReloadRequest(),
        logs=logs,
        actor_counts=actor_counts,
        after_batch=after_batch,
        records=records,
        audit=audit,
        telemetry=telemetry,
        is_for_people=is_for_people,
        show_start=show_start,
        reranker=reranker,
        service_manager=service_manager,
    )


def _prepare(logins: LazyLogins, specs: Iterable[InstanceSpec]) -> None:
    """Import what these instances need; for a worker thread."""
    specs = tuple(specs)
    prepare(specs)
    logins.import_for(specs)


def _take_instances(places: Places, logins: LazyLogins, specs: Iterable[InstanceSpec]) -> None:
    """Tell of the instances those who have to know them, after the actor."""
    specs = tuple(specs)
    places.take_instances(specs)
    logins.take_specs(specs)


def _open_audit(settings: Settings, paths: Paths, logs: Logs) -> AuditLog | None:
    if not settings.logging.audit:
        return None
    # For start-up time: few routers keep one.
    from router.audit.audit_log import AuditLog

    return AuditLog.open(paths.logs, logs.mask)


def telemetry_for(environ: Mapping[str, str], logs: Logs) -> Telemetry | None:
    """Return the export that the variables of OpenTelemetry ask for; None if they ask for none.

    What is secret in them is masked in the logs, and all secrets in what is exported.
    """
    if not any(name.startswith("OTEL_") for name in environ):
        return None
    # For start-up time: most routers export nothing.
    from router.telemetry.telemetry import Telemetry

    telemetry = Telemetry.from_environ(environ, logs.mask)
    logs.add_secrets(telemetry.secrets)
    return telemetry if telemetry.signals else None
