"""Adds a server: from a command line, a URL, or a `server.json`; with a running router or without.

Invariants:

- The entry is written by the code that the REST API uses, under its lock, or not at all.
- A running router of this machine reads references and secrets from the file, so an entry that has
  any is written there, and the router picks it up. All others go through its REST API.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from router.cli.changing.changes import (
    WAIT,
    change_files,
    files_of,
    names_in,
    reached_router,
    state_line,
)
from router.cli.changing.given_values import GivenValues
from router.cli.rest_api.requests import START_S, Refused, ask, get_json, route
from router.cli.terminal import complain, say
from router.cli.text_columns import safe_line
from router.core.text.nearest_names import did_you_mean
from router.files.names import NAME_RULE, is_name, is_provider
from router.messages.commands import AddInstance
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from router.cli.rest_api.rest_client import RestApi
    from router.config.options import Paths
    from router.config.settings import Settings

SEEN_S: Final = 15.0
"""How long a running router may take to notice a new file; see `watcher.debounce_delay`."""

_LOOK_S: Final = 0.25
LEAST_INSIDE: Final = 6
"""Characters of a secret that is looked for inside of other texts: a short one stands anywhere."""

_ALLOW_PRIVATE: Final = "allow_private"

OTHER_PROVIDER: Final = "servers"
"""The folder of an instance whose name no folder may have."""


def add(arguments: argparse.Namespace) -> int:
    """Add a server and say what became of it; the exit status is 1 if it is not ready.

    Raises:
        ConfigError: it cannot be added; nothing was changed.
    """
    env = GivenValues(arguments.env, "--env")
    headers = GivenValues(arguments.header, "--header")
    name, entry = _entry(arguments, env, headers)
    if not is_name(name):
        raise ConfigError(safe_line(name), NAME_RULE)
    api = reached_router(arguments)
    provider = name if is_provider(name) else OTHER_PROVIDER
    _keep_secrets(arguments, name, provider, entry, env, headers)
    entry = {"name": name, "provider": provider, **entry, **_private_access(arguments, entry)}
    if api is not None and not _has_references(entry):
        return _add_by_router(arguments, api, entry)
    if arguments.url is not None:
        problem = "a router elsewhere cannot be given references; write them in its files"
        raise ConfigError(name, problem)
    settings, paths = files_of(arguments)
    _check_no_profile(name, settings)
    change_files(paths, AddInstance(provider, entry), may_refer=True)
    if api is None:
        say(f"{name}: added in {paths.data}; no router runs\n")
        return 0
    return _await_file(arguments, api, name, paths)


# --- The entry -------------------------------------------------------------------------------


def _entry(
    arguments: argparse.Namespace, env: GivenValues, headers: GivenValues
) -> tuple[str, dict[str, Any]]:
    """Return the name and the entry that the arguments describe."""
    if arguments.from_registry is not None:
        return _registry_entry(arguments, env, headers)
    name = arguments.instance
    if arguments.rest:
        command, *args = arguments.rest
        entry: dict[str, Any] = {"type": "stdio", "command": command, "args": args}
        if arguments.cwd:
            entry["cwd"] = os.path.abspath(os.path.expanduser(arguments.cwd))
        values = {key: env.value(key) for key in env.names}
        _refuse(headers, "a command has no headers; --env gives it variables")
        return name, entry | ({"env": values} if values else {})
    _refuse(env, "a server behind a URL has no variables; --header gives it headers")
    values = {key: headers.value(key) for key in headers.names}
    entry = {"url": arguments.provider}
    if arguments.type:
        entry["type"] = arguments.type
    return name, entry | ({"headers": values} if values else {})


def _private_access(arguments: argparse.Namespace, entry: dict[str, Any]) -> dict[str, bool]:
    """Return the key that says whether the URL of an entry may lead to a private address.

    It may if the user of this machine has typed it, and not if a registry has named it. A router
    elsewhere decides by its own rule.
    """
    if "url" not in entry or arguments.url is not None:
        return {}
    return {_ALLOW_PRIVATE: arguments.from_registry is None}


def _refuse(values: GivenValues, problem: str) -> None:
    if values.names:
        raise ConfigError(values.names[0], problem)


def _registry_entry(
    arguments: argparse.Namespace, env: GivenValues, headers: GivenValues
) -> tuple[str, dict[str, Any]]:
    # For start-up time: few servers are added so.
    from router.cli.changing.registry import fetch_server_json
    from router.cli.changing.server_json import Input, Transport, choose, entry_of, name_for

    server = fetch_server_json(arguments.from_registry, arguments.registry)
    chosen = choose(server, _has_program, arguments.package or "")
    given, other = (headers, env) if isinstance(chosen, Transport) else (env, headers)
    asked: set[str] = set()

    def value_for(key: str, wanted: Input) -> str | None:
        asked.add(key)
        return given.value_for(key, wanted)

    entry = entry_of(chosen, _has_program, value_for)
    for key in (*given.names, *other.names):
        if key in other.names or key not in asked:
            problem = f"{safe_line(server.name)} does not ask for it{did_you_mean(key, asked)}"
            raise ConfigError(safe_line(key), problem)
    what = chosen.url if isinstance(chosen, Transport) else chosen.identifier
    complain(f"{safe_line(server.name)} {safe_line(server.version)}: taking {safe_line(what)}")
    metadata = {"description": server.description, "registry": server.name}
    return arguments.instance or name_for(server), entry | {"metadata": metadata}


def _has_program(name: str) -> bool:
    return shutil.which(name) is not None


def _has_references(entry: dict[str, Any]) -> bool:
    """Return whether a router would refuse the entry, since it refers to something."""
    # For start-up time, as above.
    from router.instance_files.edit_secrets import refuse_new_references
    from router.messages.errors import RpcError

    try:
        refuse_new_references(entry, {})
    except RpcError:
        return True
    return False


def _check_no_profile(name: str, settings: Settings) -> None:
    if name in settings.profiles:
        raise ConfigError(name, "is the name of a profile; choose another name")


def _keep_secrets(
    arguments: argparse.Namespace,
    name: str,
    provider: str,
    entry: dict[str, Any],
    env: GivenValues,
    headers: GivenValues,
) -> None:
    """Keep the secrets that were typed in the router's file of secrets, and refer to them.

    A router elsewhere has a file of its own: it gets them in the entry.
    """
    typed = {**env.secrets, **headers.secrets}
    if not typed or arguments.url is not None:
        return
    # For start-up time: few entries have any.
    from router.instance_files.reference_uses import find_secret_uses
    from router.secret_store.store import COMMAND_PATIENCE_S, SecretStore

    settings, paths = files_of(arguments)
    _check_no_profile(name, settings)
    if name in names_in(paths):
        raise ConfigError(name, "there is an instance of this name already")
    names = {key: f"{provider if provider[0].isalpha() else '_' + provider}.{key}" for key in typed}
    store = SecretStore.open(paths, patience_s=COMMAND_PATIENCE_S)
    uses = find_secret_uses(paths.config, paths.data)
    taken = [one for one in names.values() if one in uses]
    if taken:
        problem = f"is used in {uses[taken[0]][0]}; choose another name for the server"
        raise ConfigError(f"the secret {taken[0]}", problem)
    store.set_all({names[key]: value for key, value in typed.items()})
    for key, secret in names.items():
        complain(f"{safe_line(key)} is kept as the secret {secret} in {store.path}")
    references = {value: f"${{secret:{names[key]}}}" for key, value in typed.items()}
    for table in ("env", "headers"):
        for key, value in entry.get(table, {}).items():
            entry[table][key] = _referring(value, references)
    if "args" in entry:
        entry["args"] = [_referring(arg, references) for arg in entry["args"]]
    if "url" in entry:
        entry["url"] = _referring(entry["url"], references)


def _referring(text: str, references: Mapping[str, str]) -> str:
    """Return the text with references in the place of secrets, also inside, as in `Bearer x`."""
    if text in references:
        return references[text]
    for secret, reference in references.items():
        if len(secret) >= LEAST_INSIDE:
            text = text.replace(secret, reference)
    return text


# --- With a router ---------------------------------------------------------------------------


def _add_by_router(arguments: argparse.Namespace, api: RestApi, entry: dict[str, Any]) -> int:
    name = entry["name"]
    wait = "" if arguments.no_wait else WAIT
    try:
        _ask_to_add(api, entry, wait)
    except Refused as error:
        if error.status != 503:
            raise
        complain(f"{name} was added, and is not ready: {error.problem}")
        return 1
    say(f"{state_line(api, name)}\n")
    return 0


def _ask_to_add(api: RestApi, entry: dict[str, Any], wait: str) -> None:
    target = route("instances") + wait
    try:
        ask(api, "POST", target, entry, timeout_s=START_S)
    except Refused as error:
        if error.status != 403 or not entry.get(_ALLOW_PRIVATE):
            raise
        # With `security.allow_stdio_via_api: "never"` a public address is still welcome.
        guarded = {key: value for key, value in entry.items() if key != _ALLOW_PRIVATE}
        ask(api, "POST", target, guarded, timeout_s=START_S)


def _await_file(arguments: argparse.Namespace, api: RestApi, name: str, paths: Paths) -> int:
    """Wait until the router has read the file, and then until the instance is ready."""
    ends_at_s = time.monotonic() + SEEN_S
    while not _is_known(api, name):
        if time.monotonic() > ends_at_s:
            complain(
                f"{name} was added in {paths.data}, and the running router has not read it. Is "
                "watcher.enabled false there? SIGHUP has it read its files"
            )
            return 1
        time.sleep(_LOOK_S)
    if not arguments.no_wait:
        try:
            ask(api, "POST", route("instances", name, "enable") + WAIT, timeout_s=START_S)
        except Refused as error:
            complain(f"{name} was added, and is not ready: {error.problem}")
            return 1
    say(f"{state_line(api, name)}\n")
    return 0


def _is_known(api: RestApi, name: str) -> bool:
    return any(row["name"] == name for row in get_json(api, route("instances")))
