"""Makes an entry of a server's `server.json`, the format of the MCP registry (2025-12-11).

A package becomes the command that runs it, and a remote server its URL. Values that the file does
not give are asked for by name.

Invariants: pure; a command is a list of words that no shell reads. Only packages that are run by a
program of this machine, over stdio, are taken. A file of somebody else refers to no variable, file
or secret of this machine: its server would be sent the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import msgspec
from msgspec import Struct, field

from router.logs.record_text import one_line
from router.messages.errors import ConfigError
from router.references.expander import is_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Input(Struct, rename="camel"):
    """A value that may have to be asked for.

    Attributes:
        value: the value, in which `{x}` stands for one of `variables`; None if there is none.
        default: the value if nothing else is wanted.
        is_required: it has to have a value.
        is_secret: the value must not be shown.
        description, placeholder: say what is wanted, to a person.
        choices: the only values that are allowed; empty for any.
        variables: the parts of `value`, by name.
    """

    value: str | None = None
    default: str | None = None
    is_required: bool = False
    is_secret: bool = False
    description: str = ""
    placeholder: str = ""
    choices: list[str] = []
    variables: dict[str, Input] = {}


class KeyValue(Input, rename="camel", kw_only=True):
    """An environment variable, or a header."""

    name: str


class Argument(Input, rename="camel", kw_only=True):
    """A word of a command line, or an option with its value."""

    type: str
    name: str = ""
    value_hint: str = ""


class Transport(Struct, rename="camel"):
    """The way to speak to a package or to a remote server."""

    type: str
    url: str = ""
    headers: list[KeyValue] = []
    variables: dict[str, Input] = {}


class Package(Struct, rename="camel"):
    """A package that runs the server."""

    registry_type: str
    identifier: str
    transport: Transport
    version: str = ""
    runtime_hint: str = ""
    runtime_arguments: list[Argument] = []
    package_arguments: list[Argument] = []
    environment_variables: list[KeyValue] = []


class ServerJson(Struct, rename="camel"):
    """One server."""

    name: str
    description: str = ""
    version: str = ""
    packages: list[Package] = field(default_factory=list[Package])
    remotes: list[Transport] = field(default_factory=list[Transport])


Ask: TypeAlias = "Callable[[str, Input], str | None]"
"""Returns the value for a name, or None if it stays without one; it raises where it must not."""


class _Answer(Struct):
    """An answer of the registry's API, which has the file in a member of its own."""

    server: ServerJson | None = None


REMOTE_TYPES: Final = {"streamable-http": "http", "sse": "sse"}
RUNTIMES: Final = {
    "npm": ("npx", "bunx", "pnpx"),
    "pypi": ("uvx", "pipx"),
    "oci": ("docker", "podman"),
    "nuget": ("dnx",),
}
"""Registry type -> the programs that run its packages, the usual one first."""

_VARIABLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}")
_SHOWN: Final = 100
"""Characters of a text of the file that an error quotes."""

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


def read_server_json(data: bytes, place: str) -> ServerJson:
    """Read a `server.json`, or an answer of the registry's API that holds one.

    Raises:
        ConfigError: it is neither.
    """
    try:
        answer = msgspec.json.decode(data, type=_Answer)
        return (
            msgspec.json.decode(data, type=ServerJson) if answer.server is None else answer.server
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(place, f"is no server.json of the MCP registry: {exc}") from None


def name_for(server: ServerJson) -> str:
    """Return a name for the instance: the last part of the server's."""
    last = server.name.rpartition("/")[2]
    return _NOT_IN_NAMES.sub("-", last).strip("-")[:100] or "server"


# --- What can be run -------------------------------------------------------------------------


def choose(
    server: ServerJson, has_program: Callable[[str], bool], wanted: str = ""
) -> Package | Transport:
    """Return the first package that can be run here, else the first remote server.

    Args:
        server: the server.
        has_program: returns whether a program can be found.
        wanted: only packages of this registry type, or "remote"; empty for any.

    Raises:
        ConfigError: nothing can be used; it says why for each.
    """
    reasons: list[str] = []
    for package in server.packages:
        if wanted in ("", package.registry_type):
            reason = _why_not(package, has_program)
            if not reason:
                return package
            reasons.append(f"{package.registry_type} {package.identifier}: {reason}")
    for remote in server.remotes:
        if wanted in ("", "remote"):
            if remote.type in REMOTE_TYPES:
                return remote
            reasons.append(f"{remote.url}: it is reached by {remote.type}, which is not supported")
    if not reasons:
        kinds = [*dict.fromkeys(one.registry_type for one in server.packages)]
        kinds += ["remote"] if server.remotes else []
        there_are = f"; there are {', '.join(kinds)}" if kinds else ""
        reasons = [f"it has nothing of the kind{there_are}"]
    problem = f"nothing of it can be run here: {'; '.join(reasons)}"
    raise ConfigError(one_line(server.name), one_line(problem))


def _why_not(package: Package, has_program: Callable[[str], bool]) -> str:
    """Return why a package cannot be run here; empty if it can."""
    if package.registry_type not in RUNTIMES:
        return f"packages of the kind {package.registry_type} are not run by the router"
    if package.transport.type != "stdio":
        return f"it serves {package.transport.type} itself: start it, and add its URL"
    if package.identifier.startswith("-"):
        return "its name would be an option of the program that runs it"
    if _runtime_of(package, has_program):
        return ""
    programs = " or ".join(RUNTIMES[package.registry_type])
    return f"there is no {programs} on the PATH"


def _runtime_of(package: Package, has_program: Callable[[str], bool]) -> str:
    known = RUNTIMES[package.registry_type]
    hinted = (package.runtime_hint,) if package.runtime_hint in known else ()
    return next((one for one in (*hinted, *known) if has_program(one)), "")


# --- The entry -------------------------------------------------------------------------------


def entry_of(
    chosen: Package | Transport, has_program: Callable[[str], bool], ask: Ask
) -> dict[str, Any]:
    """Return the entry that runs or reaches what was chosen.

    Raises:
        ConfigError: it refers to something of this machine; or whatever `ask` raises.
    """
    for text in _values_in(msgspec.to_builtins(chosen)):
        if is_reference(text, bare=True):
            problem = f"refers to something of this machine: {one_line(text[:_SHOWN])}"
            way_out = "add the server by hand, if that is what you want"
            raise ConfigError("server.json", f"{problem}; {way_out}")
    if isinstance(chosen, Transport):
        return _remote_entry(chosen, ask)
    runtime = _runtime_of(chosen, has_program)
    env = _values(chosen.environment_variables, ask)
    before = _words(chosen.runtime_arguments, ask)
    after = _words(chosen.package_arguments, ask)
    args = _arguments(chosen, runtime, before, after, env)
    entry: dict[str, Any] = {"type": "stdio", "command": runtime, "args": args}
    return entry | ({"env": env} if env else {})


def _values_in(value: Any) -> Iterator[str]:
    """Yield all texts but those that are written for a person."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _values_in(part)
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            if key not in ("description", "placeholder"):
                yield from _values_in(part)


def _arguments(
    package: Package, runtime: str, before: list[str], after: list[str], env: Mapping[str, str]
) -> list[str]:
    name, version = package.identifier, package.version
    if runtime in ("npx", "pnpx"):
        yes = [] if {"-y", "--yes"} & {*before} or runtime == "pnpx" else ["-y"]
        return [*yes, *before, f"{name}@{version}" if version else name, *after]
    if runtime == "bunx":
        return [*before, f"{name}@{version}" if version else name, *after]
    if runtime == "uvx":
        return [*before, f"{name}@{version}" if version else name, *after]
    if runtime == "pipx":
        return ["run", *before, f"{name}=={version}" if version else name, *after]
    if runtime == "dnx":
        yes = [] if {"-y", "--yes"} & {*before} else ["--yes"]
        dashes = ["--"] if after else []
        return [*before, f"{name}@{version}" if version else name, *yes, *dashes, *after]
    has_tag = ":" in name.rpartition("/")[2] or "@" in name
    image = name if has_tag or not version else f"{name}:{version}"
    variables = [word for key in env for word in ("-e", key)]
    return ["run", "-i", "--rm", *variables, *_without_run(before), image, *after]


def _without_run(words: list[str]) -> list[str]:
    """Return the options of `docker run` without those that are given anyway."""
    rest = words[1:] if words[:1] == ["run"] else words
    return [word for word in rest if word not in ("-i", "--interactive", "--rm")]


def _remote_entry(remote: Transport, ask: Ask) -> dict[str, Any]:
    url = _filled(remote.url, remote.variables, ask)
    headers = _values(remote.headers, ask)
    entry: dict[str, Any] = {"type": REMOTE_TYPES[remote.type], "url": url}
    return entry | ({"headers": headers} if headers else {})


def _values(inputs: list[KeyValue], ask: Ask) -> dict[str, str]:
    found = ((one.name, _value(one.name, one, ask)) for one in inputs)
    return {name: value for name, value in found if value is not None}


def _value(name: str, wanted: Input, ask: Ask) -> str | None:
    if wanted.value is not None:
        return _filled(wanted.value, wanted.variables, ask)
    return ask(name, wanted)


def _filled(text: str, variables: Mapping[str, Input], ask: Ask) -> str:
    """Return the text with `{x}` replaced, where there is a variable of this name."""

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        value = _value(name, variables[name], ask) if name in variables else None
        return found[0] if value is None else value

    return _VARIABLE.sub(value_of, text)


def _words(arguments: list[Argument], ask: Ask) -> list[str]:
    words: list[str] = []
    for one in arguments:
        name = one.name if one.type == "named" else one.value_hint or "argument"
        value = _value(name, one, ask)
        if one.type != "named":
            words += [] if value is None else [value]
        elif value is not None:
            words += [name, value] if value else [name]
    return words
