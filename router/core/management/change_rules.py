"""Checks whether a change of the instances may be made, as far as that needs no disk.

Permission, names, and which keys of an entry may come from elsewhere than the file are checked
here; the rest is checked against the files when the change is saved.

An instance with a command is code. Whoever may change instances through the API runs it, so:

- `security.allow_stdio_via_api: "never"` forbids every key that defines what is run;
- it forbids to allow private addresses as well, since behind those may be anything, too;
- variables that have another program load code belong in the file, where its owner sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from msgspec import Struct

from router.core.protocol.permissions import check_may, check_may_name
from router.messages.commands import OUTER_KEYS, SECRET_MASK, AddInstance, UpdateInstance
from router.messages.errors import ALREADY_EXISTS, INVALID_PARAMS, NOT_ALLOWED, RpcError

if TYPE_CHECKING:
    from collections.abc import Container, Set

    from router.core.state.instance_table import Instances
    from router.messages.commands import Change, Principal
    from router.messages.core_settings import CoreSettings
    from router.messages.instances.instance_spec import InstanceSpec

_RUN_KEYS: Final = frozenset({"command", "args", "env", "cwd", "sandbox"})
_PRIVATE_KEY: Final = "allow_private"
_TYPE_KEYS: Final = frozenset({"type", "transport"})
_REMOTE_TYPES: Final = frozenset(
    {"http", "sse", "streamablehttp", "streamable-http", "streamable_http"}
)

_CODE_LOADING: Final = frozenset(
    {
        *("PATH", "PATHEXT", "COMSPEC", "SHELL", "ENV", "SHELLOPTS", "PROMPT_COMMAND", "IFS"),
        *("EDITOR", "VISUAL", "PAGER", "BROWSER", "CLASSPATH", "PHPRC", "GCONV_PATH"),
        *("NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONUSERBASE"),
        *("PYTHONWARNINGS", "PYTHONPYCACHEPREFIX", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE"),
        *("GIT_ASKPASS", "GIT_EDITOR", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF", "GIT_PAGER"),
        *("GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR", "GIT_TEMPLATE_DIR"),
        # Where programs look for settings, which say what they load.
        *("HOME", "HOMEDRIVE", "HOMEPATH", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "ZDOTDIR"),
    }
)
_CODE_LOADING_PREFIXES: Final = (
    *("LD_", "DYLD_", "BASH", "PERL", "RUBY", "LUA_", "PHP_INI", "OPENSSL_"),
    *("DOTNET_", "CORECLR_", "COR_", "GIT_CONFIG", "GIT_SSH", "SSH_ASKPASS"),
    # Settings of programs that install packages before they run them: from where, and which.
    *("NPM_CONFIG_", "YARN_", "PIP_", "UV_", "GEM_", "BUNDLE_"),
    *("XDG_CONFIG", "XDG_DATA"),
)
"""Families of variables by prefix; their harmless members can be set in the file as well."""


class CheckedChange(Struct, frozen=True):
    """A change that may be made.

    Attributes:
        change: with the instance's own name, and a flat entry that says its name.
        spec: the instance to be changed, None for a new one.
        name: the instance's name after the change.
    """

    change: Change
    spec: InstanceSpec | None
    name: str


def check_change(
    change: Change, principal: Principal, instances: Instances, settings: CoreSettings
) -> CheckedChange:
    """Check a change, as far as that needs no disk.

    Args:
        change: as it was asked for.
        principal: asks for it.
        instances: all of them.
        settings: say whether commands may be defined here, and which names profiles have.

    Raises:
        RpcError: -32016, it is not allowed; -32010, there is no such instance; -32018, the name
            is taken; -32602, the entry makes no sense.
    """
    check_may(principal, "admin")
    if isinstance(change, AddInstance):
        added = _flattened(change)
        _check_entry(added.entry, settings)
        _check_free(added.entry["name"], principal, instances.by_name.keys(), settings.profiles)
        return CheckedChange(added, None, added.entry["name"])
    instance = instances.seen_by(principal).find(change.name)
    name = instance.name
    if isinstance(change, UpdateInstance):
        _check_entry(change.fields, settings)
        name = _name_in(change.fields, name)
    if name != instance.name:
        taken = instances.by_name.keys() - {instance.name}
        _check_free(name, principal, taken, settings.profiles)
    named = msgspec.structs.replace(change, name=instance.name)
    return CheckedChange(named, instance.spec, name)


# --- Names -----------------------------------------------------------------------------------


def _flattened(change: AddInstance) -> AddInstance:
    """Return the change with its entry taken out of `{"mcpServers": {name: entry}}`, and named."""
    entry, default = change.entry, change.provider
    for key in OUTER_KEYS:
        if entry.get(key) is not None:
            default, entry = _only_entry(key, entry[key])
            break
    return AddInstance(change.provider, entry | {"name": _name_in(entry, default)})


def _only_entry(key: str, wrapped: Any) -> tuple[str, dict[str, Any]]:
    entries = cast("dict[str, Any]", wrapped) if isinstance(wrapped, dict) else {}
    if len(entries) == 1:
        [(name, entry)] = entries.items()
        if isinstance(entry, dict):
            return name, cast("dict[str, Any]", entry)
    raise RpcError(INVALID_PARAMS, f"{key} must hold one entry: instances are added one by one")


def _name_in(entry: dict[str, Any], default: str) -> str:
    name = entry.get("name")
    if name is None:
        return default
    if not isinstance(name, str):
        raise RpcError(INVALID_PARAMS, "name must be a string")
    return name


def _check_free(name: str, principal: Principal, taken: Set[str], profiles: Container[str]) -> None:
    check_may_name(principal, name)
    if name in taken:
        raise RpcError(ALREADY_EXISTS, f"Instance '{name}' already exists")
    if name in profiles:
        # Each name of a profile or an instance is one place (`/mcp/{name}`).
        raise RpcError(ALREADY_EXISTS, f"'{name}' is the name of a profile; choose another name")
    if name.casefold() in {other.casefold() for other in taken}:
        raise RpcError(INVALID_PARAMS, f"'{name}' differs from another instance in case only")


# --- Entries ---------------------------------------------------------------------------------


def _check_entry(entry: dict[str, Any], settings: CoreSettings) -> None:
    for key in OUTER_KEYS:
        if key in entry:
            raise RpcError(INVALID_PARAMS, f"{key} is no key of an entry")
    if settings.allow_stdio_via_api == "never":
        _check_runs_nothing(entry)
        _check_reaches_nothing_private(entry)
    for key, value in entry.items():
        # In any spelling: what is refused here must not get by because somebody else corrects it.
        if key.casefold() == "env" and isinstance(value, dict):
            _check_loads_nothing(key, cast("dict[str, Any]", value))


def _check_runs_nothing(entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        folded = key.casefold()
        is_remote = isinstance(value, str) and value.casefold() in _REMOTE_TYPES
        if folded in _RUN_KEYS or (folded in _TYPE_KEYS and not is_remote):
            raise RpcError(
                NOT_ALLOWED,
                f'{key} says what is run, and security.allow_stdio_via_api is "never"; '
                "it belongs in the file",
            )


def _check_reaches_nothing_private(entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        # A null takes out what keeps an entry from private addresses.
        if key.casefold() == _PRIVATE_KEY and value is not False:
            raise RpcError(
                NOT_ALLOWED,
                f"{key} lets the instance reach private addresses, and "
                'security.allow_stdio_via_api is "never"; it belongs in the file',
            )


def _check_loads_nothing(key: str, env: dict[str, Any]) -> None:
    for name, value in env.items():
        if value is None or value == SECRET_MASK:
            continue
        upper = name.upper()  # Windows knows no case here.
        if upper in _CODE_LOADING or upper.startswith(_CODE_LOADING_PREFIXES):
            raise RpcError(
                NOT_ALLOWED, f"{key}.{name} has programs load code; it belongs in the file"
            )
