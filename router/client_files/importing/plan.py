"""Decides for each found server what an import would do: nothing, add it, change an instance.

Invariants: pure, but for the function that it is given to look secrets up. The same input gives
the same plan. Once a plan was carried out, the next one for the same files does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from router.client_files.clients.table import client_named
from router.client_files.importing.differences import (
    changed_keys,
    difference_lines,
    hidden,
    identity,
    resolved,
)
from router.client_files.importing.itself import OwnAddresses, is_router_itself
from router.client_files.importing.missing import missing_in, secrets_in
from router.client_files.importing.secret_moves import SecretMoves
from router.client_files.importing.secret_values import has_placeholder
from router.files.names import is_provider
from router.messages.commands import AddInstance, UpdateInstance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from router.client_files.importing.instances import PresentInstance, PresentInstances
    from router.client_files.reading.found import FoundServer
    from router.messages.commands import Change

State: TypeAlias = Literal["new", "same", "different", "equivalent", "itself", "left_out", "cannot"]
"""
- `new`: it will be added.
- `same`: an instance has this name and this content; nothing to do.
- `different`: an instance has this name, and other content.
- `equivalent`: an instance, or another found server, is the same under another name.
- `itself`: it is this router.
- `left_out`: an earlier client has another server of this name.
- `cannot`: it cannot be imported.
"""

OTHER_FOLDER: Final = "imported"
"""The folder in `data/` of servers whose name no folder may have."""


@attrs.frozen
class Row:
    """One found server, or several equal ones of several clients.

    Attributes:
        state: see `State`.
        servers: the places where it was found; the first one gives its name.
        reason: a sentence about the state; empty where nothing is to be said.
        entry: the entry as it will be written, without literal secrets.
        missing: what has to be set before it works, such as `secret TOKEN`.
        differences: lines, with secrets hidden.
        change: makes it an instance; None where nothing is to be done.
        secrets: name -> value, of those to be set first.
    """

    state: State
    servers: tuple[FoundServer, ...]
    reason: str = ""
    entry: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    missing: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    change: Change | None = attrs.field(default=None, repr=False)
    secrets: dict[str, str] = attrs.field(factory=dict[str, str], repr=False)

    @property
    def name(self) -> str:
        """The name of the instance."""
        return self.servers[0].name

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what is different here, of all places."""
        return tuple(dict.fromkeys(note for server in self.servers for note in server.notes))


@attrs.frozen
class Known:
    """All that a plan depends on, besides the found servers.

    Attributes:
        present: the instances.
        look_up: returns the value of a secret; None if there is none, or it cannot be had.
        secret_names: of all secrets that are set.
        used_elsewhere: the names of secrets that `config.json` refers to.
        profiles: the names of profiles, which no instance may have.
        own: the addresses of this router.
        environ: the variables that are set.
    """

    present: PresentInstances
    look_up: Callable[[str], str | None]
    secret_names: Collection[str] = ()
    used_elsewhere: Collection[str] = ()
    profiles: Collection[str] = ()
    own: OwnAddresses = attrs.field(factory=OwnAddresses)
    environ: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


def plan_import(found: Iterable[FoundServer], known: Known) -> tuple[Row, ...]:
    """Return what is to be done with each found server, in their order."""
    groups = _groups(found)
    planner = _Planner(known, SecretMoves(known.look_up))
    planner.note_what_is_there(groups)
    return tuple(planner.row_for(group) for group in groups)


def _groups(found: Iterable[FoundServer]) -> list[tuple[FoundServer, ...]]:
    """Return the servers, those with the same name and the same way to be reached together."""
    groups: dict[object, list[FoundServer]] = {}
    for server in found:
        key = (server.name.casefold(), server.problem, identity(server.entry))
        groups.setdefault(key, []).append(server)
    return [tuple(group) for group in groups.values()]


@attrs.define
class _Planner:
    """Plans one group of servers after the other.

    Attributes:
        known: what is there.
        moves: the secrets so far.
        by_name: name in lower case -> the server that has it: the one that is there already, else
            the first one of the plan.
        by_identity: the way to reach a server -> its name in the plan.
        folders: folder in lower case -> the folder, of those there are and will be.
    """

    known: Known
    moves: SecretMoves
    by_name: dict[str, FoundServer] = attrs.field(factory=dict[str, "FoundServer"])
    by_identity: dict[bytes, str] = attrs.field(factory=dict[bytes, str])
    folders: dict[str, str] = attrs.field(factory=dict[str, str])

    def __attrs_post_init__(self) -> None:
        self.folders = {name.casefold(): name for name in self.known.present.folders}

    def note_what_is_there(self, groups: Iterable[tuple[FoundServer, ...]]) -> None:
        """Give names to the servers that have them already, whatever else is found before them."""
        for server, *_ in groups:
            present = self.known.present.named(server.name)
            if present is not None and server.problem is None:
                found, there, _, _ = self._compare(server, present, SecretMoves(self.known.look_up))
                if not changed_keys(found, there):
                    self.by_name.setdefault(server.name.casefold(), server)

    def row_for(self, group: tuple[FoundServer, ...]) -> Row:
        server = group[0]
        if server.problem is not None:
            return Row("cannot", group, server.problem)
        if is_router_itself(server.entry, self.known.own, server.name):
            return Row("itself", group, "is this router")
        if server.name in self.known.profiles:
            problem = f"{server.name} is the name of a profile in config.json"
            return Row("cannot", group, f"{problem}; rename it there or in the client")
        earlier = self.by_name.get(server.name.casefold())
        if earlier is not None and earlier != server:
            problem = f"that of {place_of(earlier)} has this name and is another one"
            is_same_file = earlier.path == server.path
            way_out = "rename one" if is_same_file else "to take this one, name its file or client"
            return Row("left_out", group, f"{problem}; {way_out}")
        present = self.known.present.named(server.name)
        row = self._new(group) if present is None else self._compared(group, present)
        if row.state != "equivalent":
            self.by_name[server.name.casefold()] = server
        return row

    def _new(self, group: tuple[FoundServer, ...]) -> Row:
        server = group[0]
        same = self._equivalent_of(server.entry)
        if same is not None:
            return Row("equivalent", group, f"is the same as {same}")
        for wanted in (self._resolved(server.entry), hidden(server.entry)):
            self.by_identity.setdefault(identity(wanted), server.name)
        written, secrets = self.moves.move(server.name, server.entry)
        folder = self._folder_for(server.name)
        change = AddInstance(folder, {"name": server.name} | written)
        return self._row("new", group, "", written, secrets, change)

    def _compared(self, group: tuple[FoundServer, ...], present: PresentInstance) -> Row:
        server = group[0]
        found, there, written, secrets = self._compare(server, present, self.moves)
        keys = changed_keys(found, there)
        if not keys:
            return self._row("same", group, f"{present.source} has it", written, {}, None)
        same = self._equivalent_of(server.entry, present)
        if same is not None:
            return Row("equivalent", group, f"is the same as {same}")
        fields = {key: written.get(key) for key in keys}
        if {"command", "url", "type"} & set(keys):
            fields["type"] = written.get("type")  # another spelling of it may be in the file
        differences = difference_lines(keys, (there, found), (present.entry, server.entry))
        reason = f"differs from the one in {present.source}"
        change = UpdateInstance(present.name, fields)
        row = self._row("different", group, reason, written, secrets, change)
        return attrs.evolve(row, differences=differences)

    def _compare(
        self, server: FoundServer, present: PresentInstance, moves: SecretMoves
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, str]]:
        """Return the found entry and the one that is there, both with the values of their secrets.

        A new value under another name of a secret is then a difference, and another name for the
        same value is none. Then follow the found entry as it would be written, and the secrets for
        it.
        """
        own = self._secrets_of_one(present)
        written, secrets = moves.move(server.name, server.entry, own)
        found = resolved(written, lambda name: secrets.get(name) or self.known.look_up(name))
        return found, self._resolved(present.entry), written, secrets

    def _row(
        self,
        state: State,
        group: tuple[FoundServer, ...],
        reason: str,
        written: dict[str, Any],
        secrets: dict[str, str],
        change: Change | None,
    ) -> Row:
        names = {*self.known.secret_names, *secrets}
        missing = missing_in(written, self.known.environ, names)
        return Row(state, group, reason, written, missing, (), change, secrets)

    def _secrets_of_one(self, present: PresentInstance) -> set[str]:
        """Return the names of the secrets that only this instance refers to."""
        others = (one.written for one in self.known.present.instances if one is not present)
        used = {name for written in others for name in secrets_in(written)}
        return secrets_in(present.written) - used - set(self.known.used_elsewhere)

    def _equivalent_of(
        self, entry: Mapping[str, Any], but_for: PresentInstance | None = None
    ) -> str | None:
        """Return the name of another instance, or of a server of this plan, that is the same."""
        # Without its secrets nobody can tell whether a server is another one. It is taken for the
        # same, since an entry with placeholders was probably copied from a documentation.
        form = hidden if has_placeholder(entry) else self._resolved
        wanted = identity(form(entry))
        for present in self.known.present.instances:
            if present is not but_for and identity(form(present.entry)) == wanted:
                return present.name
        return self.by_identity.get(wanted)

    def _resolved(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return resolved(entry, self.known.look_up)

    def _folder_for(self, name: str) -> str:
        """Return a folder for a new instance: that of its name, if a folder may have it."""
        folder = name if is_provider(name) else OTHER_FOLDER
        return self.folders.setdefault(folder.casefold(), folder)


def place_of(server: FoundServer) -> str:
    """Return the place of a server for people: its client, or its file."""
    return client_named(server.client).title if server.client else str(server.path)


def reached_by(entry: Mapping[str, Any]) -> str:
    """Return in one line how a server is reached: its URL, or its command and arguments."""
    if "url" in entry:
        return str(entry["url"])
    return " ".join([entry.get("command", ""), *entry.get("args", [])])
