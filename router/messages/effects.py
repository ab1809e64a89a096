"""Effects: the core's decisions, which the dispatch actor performs. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from router.messages.own_tools.code_runs import EndCode, RunCode
from router.messages.own_tools.search import IndexTools, SearchTools

if TYPE_CHECKING:
    from router.messages.catalog import KnownServer
    from router.messages.commands import Change
    from router.messages.frames import ClientId, Frame, Outbox, SessionId
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.observability.records import Record


class ToClient(Struct, frozen=True):
    """Send `frame` to a client through `outbox` (a request's `reply_to` or its own outbox)."""

    client: ClientId
    outbox: Outbox
    frame: Frame


class CloseClient(Struct, frozen=True):
    """End this client's session; its listener sees `outbox` end."""

    client: ClientId
    outbox: Outbox
    reason: str


class CloseReply(Struct, frozen=True):
    """Close a `reply_to` without an answer: its request was cancelled, or its client is gone."""

    outbox: Outbox


class ToSession(Struct, frozen=True):
    """Send `frame` to an upstream session."""

    session: SessionId
    inbox: Outbox
    frame: Frame


class StartSession(Struct, frozen=True):
    """Have the supervisor run a session for this instance, or restart the session it runs."""

    spec: InstanceSpec


class StopSession(Struct, frozen=True):
    """Have the supervisor stop this instance's session."""

    instance: str


class SaveInstance(Struct, frozen=True):
    """Have a change written to `data/`; an `InstanceSaved` with the same `key` follows.

    Attributes:
        key: names this change in the `InstanceSaved`.
        change: the change.
        spec: the instance to be changed; None for an `AddInstance`.
    """

    key: int
    change: Change
    spec: InstanceSpec | None = None


class SaveCatalogue(Struct, frozen=True):
    """Have the last known lists of an instance kept on disk; nothing follows.

    It may be dropped, and it does nothing if `spec.catalogue_cache` is off. To send it with what is
    on disk already costs no writing.

    Attributes:
        spec: the instance, as it was configured when its server was asked.
        known: its server.
    """

    spec: InstanceSpec
    known: KnownServer


class PinTools(Struct, frozen=True, eq=False):
    """Have tools digested, and approved tools saved; one `ToolsPinned` follows.

    Attributes:
        key: names this effect in the `ToolsPinned`.
        to_digest: the JSON of tools.
        to_save: instance -> tool -> its approved JSON; None for a tool that is to be forgotten.
    """

    key: int
    to_digest: frozenset[bytes]
    to_save: dict[str, dict[str, bytes | None]]


class LogLine(Struct, frozen=True):
    """Have a line logged about an instance.

    Attributes:
        level: the severity, as in `logging`.
        text: the line.
        instance: the name of the instance.
    """

    level: int
    text: str
    instance: str


class WriteRecord(Struct, frozen=True):
    """Hand a record to those who keep them: the audit log and the traces. It never waits."""

    record: Record


class Reply(Struct, frozen=True):
    """Answer an `AdminCommand` or a `Drain` with its one value."""

    reply_to: Outbox
    value: Any


Effect: TypeAlias = (
    ToClient
    | CloseClient
    | CloseReply
    | ToSession
    | StartSession
    | StopSession
    | SaveInstance
    | SaveCatalogue
    | PinTools
    | IndexTools
    | SearchTools
    | RunCode
    | EndCode
    | LogLine
    | WriteRecord
    | Reply
)
