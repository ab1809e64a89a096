"""Reads the entry of a server, as any client writes it, into the router's own keys.

The keys of all clients are understood in every file, since people copy entries from one client to
another. The dialect decides only what would be ambiguous: the meaning of a `url` without a type,
the unit of a timeout, and `$NAME`.

Invariants:

- Pure. Servers that are reached in the same way have equal entries, whatever the client: `type`
  is there for HTTP+SSE alone, empty tables are left out, and keys have a fixed order.
- Nothing is lost silently: a key that is left out is named in a note.
- The entry is one that the router itself reads without a problem, else the server has a `problem`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec
from msgspec import Struct, field

from router.client_files.reading.fitting_names import fitting_name
from router.client_files.reading.found import FoundServer
from router.client_files.reading.logins import read_login
from router.client_files.reading.members import Members, Unreadable
from router.client_files.reading.references import ReferenceTranslator
from router.files.json_files import kind_of, quote_key, quote_value
from router.instance_files.entry.entries import LONGEST_TIMEOUT_S, read_entry
from router.instance_files.entry.entry_location import EntryLocation
from router.instance_files.entry.run_policies import RUN_POLICY_KEYS
from router.messages.instances.instance_spec import ROOT_REFERENCE
from router.references.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.client_files.clients.client import Dialect, Scope, TimeoutUnit, Transport

_TRANSPORTS: Final[dict[str, Transport]] = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "streamablehttp": "http",
    "remote": "http",
    "sse": "sse",
}
"""Transports by the values of `type`, in lower case and without `-` and `_`."""

_URL_KEYS: Final = ("httpUrl", "serverUrl", "url")

_OWN_KEYS: Final = (
    *("protocol", "check_arguments", "catalogue_cache", "sessions", "max_sessions", "metadata"),
    *("prompts", "resources", "forward_headers", "allow_private", *RUN_POLICY_KEYS),
)
"""Keys that only files of a router have. They are taken over as they are, if no client has them."""

_FILTER_KEYS: Final = frozenset(
    {"allow", "deny", "approve", "rename", "describe", "annotations", "arguments"}
)
"""Keys of the router in `tools`; Codex has the names of tools there."""

_WITHOUT_MEANING: Final = frozenset({"name", "provider", "source", "gallery", "version", "id"})
"""Keys that only say where an entry comes from, or what it is called."""

_ORDER: Final = (
    *("type", "command", "args", "env", "cwd", "url", "headers", "oauth", "timeout", "tools"),
    *("prompts", "resources", "isActive", *_OWN_KEYS),
)


@attrs.frozen
class Origin:
    """The place that a server was found in.

    Attributes:
        client: the client's name; empty for a file that belongs to none.
        dialect: of the client.
        path: the file.
        scope: "user" for all projects, "project" for one.
        place: of the server in the file.
        project: the folder of the project, if there is one.
        defaults: id of an input -> the value that the client would offer.
    """

    client: str
    dialect: Dialect
    path: Path
    scope: Scope
    place: str
    project: Path | None = None
    defaults: Mapping[str, str] = attrs.field(factory=dict[str, str])


def read_server(written_name: str, value: object, origin: Origin) -> FoundServer:
    """Return a server.

    Args:
        written_name: its key in the table of servers.
        value: its entry.
        origin: the place that it was found in.
    """
    name = fitting_name(written_name)
    found = FoundServer(
        name=name,
        client=origin.client,
        path=origin.path,
        scope=origin.scope,
        place=origin.place,
    )
    if not isinstance(value, dict):
        return attrs.evolve(found, problem=f"expected an object, got {kind_of(value)}")
    reader = _EntryReader.of(cast("dict[str, Any]", value), origin)
    if name != written_name:
        reader.notes.append(f"{quote_value(written_name)} is called {name} here")
    try:
        entry = reader.read()
        problem = _problem_of(entry, name)
    except Unreadable as exc:
        entry, problem = {}, str(exc)
    notes = tuple(reader.notes)
    if not _is_unicode((entry, notes, problem)):
        return attrs.evolve(found, problem="half of a character is in it; write that text anew")
    return attrs.evolve(
        found, entry=entry, needs=tuple(reader.references.asked), notes=notes, problem=problem
    )


def _is_unicode(value: object) -> bool:
    """Return whether no text has a lone surrogate, which no file and no process takes."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _problem_of(entry: Mapping[str, Any], name: str) -> str | None:
    """Return the reason why the router would not start such an entry; None if it would."""
    location = EntryLocation(name, "", "imported", name)
    problem = read_entry(entry, location, Expander(None)).problem
    return None if problem is None else problem.replace(f"{name}: ", "")


def _no_notes() -> list[str]:
    return []


class _EntryReader(Struct):
    """Reads one entry.

    Attributes:
        members: its members.
        origin: the place that it was found in.
        references: translates its texts.
        notes: sentences about what is different here.
    """

    members: Members
    origin: Origin
    references: ReferenceTranslator
    notes: list[str] = field(default_factory=_no_notes)

    @classmethod
    def of(cls, values: Mapping[str, Any], origin: Origin) -> _EntryReader:
        references = ReferenceTranslator(
            origin.dialect, origin.path.parent, origin.project, origin.defaults
        )
        transport = values.get("transport")
        if isinstance(transport, dict):  # Cline's, since 2026: the keys of the way to reach it
            others = {key: value for key, value in values.items() if key != "transport"}
            values = others | cast("dict[str, Any]", transport)
        return cls(Members(values), origin, references)

    def read(self) -> dict[str, Any]:
        """Return the entry.

        Raises:
            Unreadable: it cannot be imported.
        """
        transport = self._transport()
        reached = self._command() if transport == "stdio" else self._url(transport)
        login = read_login(self.members, self.references, self.notes)
        if transport == "stdio":
            login = None
        entry = reached | {"oauth": login} | self._tools() | self._times() | self._own_keys()
        entry |= self._activity()
        self._note_keys_left()
        self.notes += [
            f"the default of the input {quote_key(key)} is taken" for key in self.references.taken
        ]
        return {key: entry[key] for key in dict.fromkeys(_ORDER) if entry.get(key) is not None}

    # --- Transport ---

    def _transport(self) -> Transport:
        members, dialect = self.members, self.origin.dialect
        key, written = members.take("type", "transport", "transportType")
        _, command = members.take("command")
        url_key, _ = members.take(*_URL_KEYS)
        if written is not None:
            transport = _transport_of(written)
            if transport is None:
                raise Unreadable(f"{key}: the router does not know {quote_value(written)}")
            return transport
        if command is not None and url_key:
            raise Unreadable("there are both a command and a url, and no type that says which")
        if command is not None:
            return "stdio"
        if not url_key:
            raise Unreadable(_nothing_to_reach(members))
        is_sse = url_key == "url" and dialect.bare_url == "sse"
        return "sse" if is_sse else "http"

    def _command(self) -> dict[str, Any]:
        command, args, more_env = self._command_line()
        if not command.strip():
            raise Unreadable("there is no command")
        env = more_env | self.members.take_table("env", "environment") | self._passed_variables()
        self._note_env_file()
        translate = self.references.translate
        command, args = translate(command), [translate(arg) for arg in args]
        cwd = self._cwd([command, *args])
        env = {key: translate(value, is_value=True) for key, value in env.items()}
        entry: dict[str, Any] = {"command": command, "args": args or None, "env": env or None}
        entry["cwd"] = cwd or None
        if self.references.needs_roots:
            entry["sessions"] = "per_client"
            self.notes.append(
                f"is started for each project: the folder of the project is {ROOT_REFERENCE} here"
            )
        return entry

    def _command_line(self) -> tuple[str, list[str], dict[str, str]]:
        """Return the command, its arguments, and variables that stand beside it."""
        _, written = self.members.take("command")
        if isinstance(written, dict):  # Zed's, until 2025
            inner = Members(cast("dict[str, Any]", written))
            path = inner.take_text("path", "command")
            return path, inner.take_texts("args"), inner.take_table("env")
        args = self.members.take_texts("args")
        if isinstance(written, list):
            first, *others = self.members.take_texts("command") or [""]
            return first, [*others, *args], {}
        return self.members.take_text("command"), args, {}

    def _passed_variables(self) -> dict[str, str]:
        """Return the variables that Codex passes on from its own environment."""
        _, written = self.members.take("env_vars")
        names = cast("list[Any]", written) if isinstance(written, list) else []
        named = [
            cast("dict[str, Any]", name).get("name") if isinstance(name, dict) else name
            for name in names
        ]
        return {name: "${" + name + "}" for name in named if isinstance(name, str)}

    def _cwd(self, texts: list[str]) -> str:
        """Return the folder to start in; that of the project for paths that begin there."""
        cwd = self.references.translate(self.members.take_text("cwd"))
        project = self.origin.project
        if project is None:
            return cwd
        if cwd and not cwd.startswith(("${", "~")):
            return str(project / Path(cwd))
        if not cwd and any(map(_is_relative_path, texts)):
            self.notes.append(f"is started in {project}, as its paths begin there")
            return str(project)
        return cwd

    def _url(self, transport: Transport) -> dict[str, Any]:
        url = self.members.take_text(*_URL_KEYS)
        if not url.strip():
            raise Unreadable("there is no url")
        headers = self.members.take_table("headers", "http_headers") | self._request_headers()
        translate = self.references.translate
        headers = {key: translate(value, is_value=True) for key, value in headers.items()}
        for key, variable in self.members.take_table("env_http_headers").items():
            headers[key] = "${" + variable + "}"
        if variable := self.members.take_text("bearer_token_env_var"):
            headers["Authorization"] = "Bearer ${" + variable + "}"
        kind = "sse" if transport == "sse" else None
        return {"type": kind, "url": translate(url), "headers": headers or None}

    def _request_headers(self) -> dict[str, str]:
        """Return the headers as Copilot in JetBrains IDEs writes them."""
        _, written = self.members.take("requestInit")
        inner = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
        return Members(inner).take_table("headers")

    # --- The rest ---

    def _activity(self) -> dict[str, Any]:
        take = self.members.take_flag
        is_off = [take("disabled") is True, take("enabled") is False, take("isActive") is False]
        return {"isActive": False if any(is_off) else None}

    def _times(self) -> dict[str, Any]:
        members, dialect = self.members, self.origin.dialect
        call = _seconds(members.take("tool_timeout_sec")[1], "s")
        start = _seconds(members.take("startup_timeout_sec")[1], "s")
        in_ms = members.take("startup_timeout_ms", "initializeTimeoutMs")[1]
        start = start or _seconds(in_ms, "ms")
        if dialect.command_is_array:  # opencode's: version 1 has the time for the start
            _, written = members.take("timeout")
            times = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
            start, call = _seconds(times.get("startup"), "ms"), _seconds(times.get("request"), "ms")
            if written is not None and not times:
                self.notes.append("timeout is left out: it is the time for the start there")
        elif call is None:
            unit = dialect.timeout_unit if dialect.timeout_key == "timeout" else None
            call = _seconds(members.take("timeout")[1], unit)
        else:
            members.take("timeout")
        if call is not None and call > LONGEST_TIMEOUT_S:
            self.notes.append(f"timeout is {LONGEST_TIMEOUT_S} s here, the longest that there is")
            call = LONGEST_TIMEOUT_S
        return {"timeout": call} | ({} if start is None else {"start_timeout_s": start})

    def _tools(self) -> dict[str, Any]:
        """Return what of its tools is shown, in the router's `tools`."""
        members = self.members
        allow = members.take_texts("includeTools", "enabled_tools")
        deny = members.take_texts("excludeTools", "disabled_tools", "disabledTools")
        _, written = members.take("tools")
        if isinstance(written, list):
            allow = allow or members.take_texts("tools")
            written = None
        tools = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
        if not tools.keys() <= _FILTER_KEYS:
            self.notes.append("tools is left out: each client decides which tools it asks about")
            tools = {}
        if allow and allow != ["*"]:
            tools = tools | {"allow": allow}
        if deny:
            tools = tools | {"deny": [*tools.get("deny", []), *deny]}
        return {"tools": tools or None}

    def _own_keys(self) -> dict[str, Any]:
        is_own_file = not self.origin.client
        taken = {key: self.members.take(key)[1] for key in _OWN_KEYS if is_own_file}
        description = self.members.take("description")[1]
        if isinstance(description, str) and description and taken.get("metadata") is None:
            taken["metadata"] = {"description": description}
        return {key: value for key, value in taken.items() if value is not None}

    # --- Notes ---

    def _note_env_file(self) -> None:
        _, written = self.members.take("envFile")
        if written is not None:
            self.notes.append(
                "envFile is left out: put its variables into env, those that are secrets as "
                "${secret:NAME}"
            )

    def _note_keys_left(self) -> None:
        left = [key for key in self.members.left() if key not in _WITHOUT_MEANING]
        if left:
            self.notes.append(f"left out, since only the client uses it: {', '.join(left)}")


def _transport_of(written: object) -> Transport | None:
    if not isinstance(written, str):
        return None
    return _TRANSPORTS.get(written.lower().replace("-", "").replace("_", ""))


def _nothing_to_reach(members: Members) -> str:
    if members.values.get("settings") is not None:
        return "an extension of Zed runs it, so there is no command that could be taken over"
    return "there is neither a command nor a url"


def _is_relative_path(text: str) -> bool:
    return text in (".", "..") or text.startswith(("./", "../", ".\\", "..\\"))


def _seconds(value: Any, unit: TimeoutUnit | None) -> float | int | None:
    """Return a time in seconds; None if it is no positive number.

    Without a unit a large number is in milliseconds, as for the router.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 < value < math.inf:  # TOML has inf and nan
        return None
    is_ms = unit == "ms" or (unit is None and value > LONGEST_TIMEOUT_S)
    seconds = value / 1000 if is_ms else value
    return int(seconds) if seconds == int(seconds) else seconds
