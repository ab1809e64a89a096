"""Compares the tools of each instance with those that were approved. Pure.

What an instance offers when it is first seen is approved as it is (trust on first use). From then
on a tool that differs from its approved form, or that is new, is a difference, until somebody
approves it. The instructions of a server are compared like a tool, because models read them too.

Invariants:

- Pins belong to the name of an instance: another version or command of it is compared as well.
- Nothing is hashed here, since that may take long. Bytes that are equal need no digest; the store
  digests all others in a worker thread (`PinTools`). Until it has, they count as different.
- Before the file of pins was read, and if it cannot be, nothing counts as seen for the first time.
  With "block" every tool is withheld then.
- One batch is on its way to the store at a time, and one event brings few reports: a server that
  changes thousands of tools does not hold up the dispatch actor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from router.core.text.raw_json import raw_of
from router.messages.catalog import INSTRUCTIONS
from router.messages.effects import PinTools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.catalog import ApprovedTool, KnownServer
    from router.messages.core_settings import PinningSetting

MAX_SPARE_DIGESTS: Final = 10_000
"""Digests that are kept beside those of approved tools: a server may change its tools for ever."""

MAX_COMPARED: Final = 8
"""Results of comparisons that are kept for each instance: its sessions may list different tools."""

MAX_NEWS: Final = 200
"""Differences that one event reports; each has a line in the log and a record."""

MAX_REPORTED: Final = 10_000
"""Differences of one instance that are remembered as reported."""

Change: TypeAlias = Literal["changed", "new", "removed"]


class Difference(Struct, frozen=True, eq=False, gc=False):
    """A tool that is not as it was approved.

    Attributes:
        tool: the server's name for it, or `INSTRUCTIONS`.
        approved: the approved JSON; None if it is new.
        now: the JSON that the server lists; None if it lists it no more.
        approved_sha256, sha256: their digests; empty where there is none, or none yet.
    """

    tool: str
    approved: bytes | None
    now: bytes | None
    approved_sha256: str = ""
    sha256: str = ""

    @property
    def change(self) -> Change:
        """The kind of the difference."""
        if self.now is None:
            return "removed"
        return "new" if self.approved is None else "changed"

    @property
    def is_settled(self) -> bool:
        """True if its digest is known, so that it can be reported and approved."""
        return self.now is None or bool(self.sha256)


def listed_tools(known: KnownServer) -> dict[str, bytes]:
    """Return the JSON of each tool that a server lists, by name, and of its instructions."""
    listed: dict[str, bytes] = {}
    for item in known.catalog.tools:
        raw = bytes(item.raw)
        before = listed.get(item.key)
        # Clients differ in which of two tools of one name they take, so both count.
        listed[item.key] = raw if before is None else b"[%b,%b]" % (before, raw)
    if known.instructions:
        listed[INSTRUCTIONS] = bytes(raw_of(known.instructions))
    return listed


class PinnedTools(Struct, eq=False):
    """The approved tools of one instance.

    Attributes:
        instance: its name.
        table: holds what all instances share.
        approved: the JSON of each tool by its name; None before the instance was seen.
        reported: the name and the digest of each difference that was reported.
        is_waiting: True while a digest is missing that the last comparison needed.
        version: goes up with every change that a comparison depends on.
    """

    instance: str
    table: PinTable
    approved: dict[str, bytes] | None = None
    reported: set[tuple[str, str]] = set()
    is_waiting: bool = False
    version: int = 0
    # The last comparisons, with what they depend on.
    _compared: list[tuple[KnownServer, int, dict[str, bytes], dict[str, Difference]]] = []

    def withheld(self, known: KnownServer) -> frozenset[str] | None:
        """Return the tools that must be neither listed nor called; None if nothing is withheld.

        Args:
            known: a server of this instance. If it is the first one with a tool, it is approved.
        """
        if not self.table.is_usable:
            names = frozenset(listed_tools(known))
        else:
            found = self.compare(known).values()
            names = frozenset(one.tool for one in found if one.now is not None)
        return names if self.table.mode == "block" else None

    def compare(self, known: KnownServer) -> dict[str, Difference]:
        """Return what differs from what was approved, by name, in the order of the list."""
        listed: dict[str, bytes] | None = None
        for seen, as_of, tools, found in self._compared:
            if seen is known:
                listed = tools
                if as_of == self.version:
                    return found
        if listed is None:
            listed = listed_tools(known)
        if self.approved is None and known.catalog.tools:
            self.approve(dict(listed))
        found = {} if self.approved is None else self._differences(self.approved, listed)
        self._compared = [one for one in self._compared if one[0] is not known]
        self._compared.append((known, self.version, listed, found))
        del self._compared[:-MAX_COMPARED]
        self._note(found)
        return found

    def _note(self, found: Mapping[str, Difference]) -> None:
        """Note what has to be reported, and whether that is all."""
        self.is_waiting = False
        for one in found.values():
            if not one.is_settled:
                self.is_waiting = True
            elif one.now is not None and (one.tool, one.sha256) not in self.reported:
                if len(self.reported) >= MAX_REPORTED:
                    self.reported.clear()
                self.reported.add((one.tool, one.sha256))
                self.table.news.append((self.instance, one))

    def approve(self, tools: Mapping[str, bytes | None]) -> None:
        """Take tools for approved, and have that saved; None for one that is to be forgotten."""
        self.table.save(self.instance, tools)
        self.apply(tools)

    def apply(self, tools: Mapping[str, bytes | None]) -> None:
        """Take tools for approved that were saved."""
        approved = self.approved = self.approved or {}
        for name, raw in tools.items():
            if raw is None:
                approved.pop(name, None)
            else:
                approved[name] = raw
        self.version += 1

    def _differences(
        self, approved: Mapping[str, bytes], listed: Mapping[str, bytes]
    ) -> dict[str, Difference]:
        found: dict[str, Difference] = {}
        for name, now in listed.items():
            before = approved.get(name)
            if now == before:
                continue
            before_sha256 = "" if before is None else self.table.digest(before)
            sha256 = self.table.digest(now)
            if not sha256 or sha256 != before_sha256:
                found[name] = Difference(name, before, now, before_sha256, sha256)
        for name, before in approved.items():
            if name not in listed:
                found[name] = Difference(name, before, None, self.table.digest(before))
        return found


class PinTable(Struct, eq=False):
    """The pins of all instances.

    Attributes:
        mode: "warn" or "block".
        by_instance: the pins by the name of the instance.
        is_read: True once the file was read.
        problem: the reason why the file cannot be used; None if it can.
        news: the differences that have to be reported, with their instances, oldest first.
        flags: by their JSON: what is suspicious in single tools, in sentences.
        approvals: the approvals that somebody asked for since the last batch.
        sent_approvals: those of the batch that is on its way.
    """

    mode: PinningSetting
    by_instance: dict[str, PinnedTools] = {}
    is_read: bool = False
    problem: str | None = None
    news: list[tuple[str, Difference]] = []
    flags: dict[bytes, tuple[str, ...]] = {}
    approvals: list[Any] = []
    sent_approvals: list[Any] = []
    _digests: dict[bytes, str] = {}
    _to_digest: dict[bytes, None] = {}
    _to_save: dict[str, dict[str, bytes | None]] = {}
    _unsaved: dict[str, dict[str, bytes | None]] = {}
    _sent: PinTools | None = field(default=None)

    @property
    def is_usable(self) -> bool:
        """True if it is known what was approved."""
        return self.is_read and self.problem is None

    @property
    def is_pending(self) -> bool:
        """True if there is something to report, or the store is to do something and is free."""
        return self._sent is None and bool(self._to_digest or self._to_save or self.news)

    def of(self, instance: str) -> PinnedTools:
        """Return the pins of an instance."""
        pins = self.by_instance.get(instance)
        if pins is None:
            pins = self.by_instance[instance] = PinnedTools(instance, self)
        return pins

    def take_file(
        self, pins: Mapping[str, Mapping[str, ApprovedTool]], problem: str | None
    ) -> None:
        """Take over what was read from the disk, unless it was read before."""
        if self.is_usable:
            return
        self.is_read, self.problem = True, problem
        for instance, tools in pins.items():
            of_instance = self.of(instance)
            of_instance.approved = {name: bytes(one.tool) for name, one in tools.items()}
            of_instance.version += 1
            self._digests.update({bytes(one.tool): one.sha256 for one in tools.values()})

    def digest(self, raw: bytes) -> str:
        """Return the digest of a tool; empty until the store has made it."""
        digest = self._digests.get(raw, "")
        if not digest and (self._sent is None or raw not in self._sent.to_digest):
            self._to_digest[raw] = None
        return digest

    def save(self, instance: str, tools: Mapping[str, bytes | None]) -> None:
        """Have approved tools saved; None for one that is to be forgotten."""
        self._to_save.setdefault(instance, {}).update(tools)
        for raw in tools.values():
            if raw is not None:
                self.digest(raw)

    def take_news(self) -> list[tuple[str, Difference]]:
        """Return what is to be reported with this event."""
        taken, self.news = self.news[:MAX_NEWS], self.news[MAX_NEWS:]
        return taken

    def has_sent(self, key: int) -> bool:
        """Return whether the batch of this key is on its way to the store."""
        return self._sent is not None and self._sent.key == key

    def take_batch(self, key: int) -> PinTools | None:
        """Return what the store is to do next, with this key; None if it is busy, or has nothing.

        While there is news, it may have nothing to do: its answer is the event that brings more.
        """
        if not self.is_pending:
            return None
        saves = self._unsaved
        for instance, tools in self._to_save.items():
            saves.setdefault(instance, {}).update(tools)
        batch = self._sent = PinTools(key, frozenset(self._to_digest), saves)
        self._to_digest, self._to_save, self._unsaved = {}, {}, {}
        self.sent_approvals, self.approvals = self.approvals, []
        return batch

    def batch_done(
        self, digests: Mapping[bytes, str], flags: Mapping[bytes, tuple[str, ...]], *, saved: bool
    ) -> None:
        """Take over what the store made of the last batch.

        What could not be saved is saved with the next batch.
        """
        sent, self._sent = self._sent, None
        if sent is not None and not saved:
            self._unsaved = sent.to_save
        self._digests.update(digests)
        self.flags.update(flags)
        if len(self._digests) > MAX_SPARE_DIGESTS + self._approved_count():
            self._forget_spare_digests()
        for pins in self.by_instance.values():
            if pins.is_waiting:
                pins.version += 1

    def drop_unsaved(self, instance: str, tools: Mapping[str, bytes | None]) -> None:
        """Do not save what could not be saved: it is not approved."""
        kept = self._unsaved.get(instance, {})
        for name in tools:
            kept.pop(name, None)

    def _approved_count(self) -> int:
        return sum(len(pins.approved or ()) for pins in self.by_instance.values())

    def _forget_spare_digests(self) -> None:
        approved = {
            raw for pins in self.by_instance.values() for raw in (pins.approved or {}).values()
        }
        self._digests = {raw: one for raw, one in self._digests.items() if raw in approved}
        self.flags = {raw: one for raw, one in self.flags.items() if raw in approved}
