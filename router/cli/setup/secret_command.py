"""`mcp-router secret`: keeps the secrets that `${secret:NAME}` stands for.

Invariants: a value is read from a prompt without echo or from stdin, and is never shown.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import UsageError, options_of
from router.cli.terminal import ask_hidden, ask_yes_no, complain, is_for_a_person, say
from router.config.options import locate, with_data_folder
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.config.options import Paths
    from router.secret_store.secret_file import Protection
    from router.secret_store.store import Saved, SecretStore

DESCRIPTION: Final = """\
Keep secrets beside config.json, for entries and tokens that have ${secret:NAME} in their place.
The file is encrypted with a key in the system's keyring, or in the credential
mcp-router-secrets-key of systemd; where there is neither, only its mode protects it.

  set NAME      ask for a value without showing it, or read it from stdin
  list          names, and where they are used
  remove NAME   remove a secret
  encrypt       encrypt the file now, and at each change
  decrypt       keep the file plain, for a router that starts where no keyring is open"""

EXAMPLES: Final = """
mcp-router secret set GITHUB_TOKEN
mcp-router secret set DEPLOY_KEY < key.pem
mcp-router secret list"""

_NAME_ACTIONS: Final = ("set", "remove")
_ACTIONS: Final = (*_NAME_ACTIONS, "list", "encrypt", "decrypt")

_KEPT_BY: Final[dict[Protection, str]] = {
    "none": "not encrypted: only its mode 0600 protects it",
    "keyring": "encrypted with a key in the keyring",
    "credential": "encrypted with the key in the credential of systemd",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `secret`."""
    parser.add_argument("action", metavar="ACTION", choices=_ACTIONS, help=", ".join(_ACTIONS))
    parser.add_argument(
        "names", metavar="NAME", nargs="*", default=[], help="the name of the secret"
    )
    parser.add_argument("--yes", action="store_true", help="remove a secret that is used, too")
    parser.add_argument("--json", action="store_true", help="list as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action; the exit status is 1 where `encrypt` found no key."""
    action, name = arguments.action, _name_of(arguments)
    # For start-up time: its help needs none of it.
    from router.secret_store.store import COMMAND_PATIENCE_S, SecretStore

    options = options_of(arguments)
    paths = _with_data_folder_of_config(locate(options, os.environ, Path.cwd()), arguments)
    store = SecretStore.open(paths, patience_s=COMMAND_PATIENCE_S)
    match action:
        case "set":
            _set(store, name, paths)
        case "remove":
            _remove(store, name, paths, is_yes=arguments.yes)
        case "encrypt":
            saved = store.encrypt()
            _tell_protection(store, saved)
            return 1 if saved.protection == "none" else 0
        case "decrypt":
            _tell_protection(store, store.decrypt())
        case _:
            _list(store, paths, as_json=arguments.json)
    return 0


def _name_of(arguments: argparse.Namespace) -> str:
    """Return the name of the secret; empty for an action that takes none.

    Raises:
        UsageError: there is none, or there is more; what is more may be a value, and is not quoted.
    """
    action, names = arguments.action, arguments.names
    if len(names) > 1 and action == "set":
        problem = "a value on the command line is seen by other users and kept by the shell"
        raise UsageError(f"{problem}; leave it out, and it is asked for", "secret")
    if len(names) != (1 if action in _NAME_ACTIONS else 0):
        takes = "the name of one secret" if action in _NAME_ACTIONS else "no name"
        raise UsageError(f"secret {action} takes {takes}", "secret")
    return names[0] if names else ""


def _with_data_folder_of_config(paths: Paths, arguments: argparse.Namespace) -> Paths:
    """Return the paths with the folder of providers that config.json names, if it is readable."""
    from router.config.settings import settings_as_written

    try:
        settings = settings_as_written(paths.config)
    except ConfigError as exc:
        complain(f"{exc}; going on with {paths.data}")
        return paths
    return with_data_folder(paths, options_of(arguments), settings.watcher.watch_path)


# --- Actions ---------------------------------------------------------------------------------


def _set(store: SecretStore, name: str, paths: Paths) -> None:
    from router.instance_files.reference_uses import find_secret_uses
    from router.secret_store.secret_rules import check_name

    check_name(name)
    is_new = name not in store.names()
    saved = store.set(name, _read_value(name))
    say(f"{name} is {'set' if is_new else 'replaced'} in {store.path}.\n")
    _tell_protection(store, saved)
    if name not in find_secret_uses(paths.config, paths.data):
        say(f"Nothing refers to it yet: write ${{secret:{name}}} in the place of the value.\n")


def _remove(store: SecretStore, name: str, paths: Paths, *, is_yes: bool) -> None:
    from router.instance_files.reference_uses import find_secret_uses

    used_in = find_secret_uses(paths.config, paths.data).get(name, ())
    if used_in and name in store.names():
        for place in used_in:
            complain(f"{name} is used in {place}")
        if not ask_yes_no(f"Remove {name} all the same?", is_yes=is_yes):
            say("Nothing was changed.\n")
            return
    store.remove(name)
    say(f"{name} is removed from {store.path}.\n")


def _list(store: SecretStore, paths: Paths, *, as_json: bool) -> None:
    from router.instance_files.reference_uses import find_secret_uses

    names, uses = store.names(), find_secret_uses(paths.config, paths.data)
    missing = [name for name in uses if name not in names]
    if as_json:
        _say_json(store, names, uses, missing)
        return
    width = max(map(len, (*names, *missing)), default=0)
    for name in names:
        say(f"{name:{width}}  {'; '.join(uses.get(name, ())) or 'not used'}\n")
    for name in missing:
        say(f"{name:{width}}  is not set, and used in {'; '.join(uses[name])}\n")
    count = f"{len(names)} secret{'' if len(names) == 1 else 's'}"
    kept = f"{_KEPT_BY[store.protection()]}" if names else "nothing is kept there yet"
    say(f"{count} in {store.path}, {kept}\n")


def _say_json(
    store: SecretStore,
    names: tuple[str, ...],
    uses: dict[str, tuple[str, ...]],
    missing: list[str],
) -> None:
    import json

    found = {
        "path": str(store.path),
        "protection": store.protection(),
        "secrets": [{"name": name, "used_in": list(uses.get(name, ()))} for name in names],
        "missing": [{"name": name, "used_in": list(uses[name])} for name in missing],
    }
    say(f"{json.dumps(found, indent=2)}\n")


def _tell_protection(store: SecretStore, saved: Saved) -> None:
    now = "now " if saved.before != saved.protection else ""
    why = f" ({saved.why_plain})" if saved.why_plain else ""
    say(f"{store.path.name} is {now}{_KEPT_BY[saved.protection]}{why}.\n")


# --- The value -------------------------------------------------------------------------------


def _read_value(name: str) -> str:
    """Return a value that is typed without echo, or that comes on stdin.

    Raises:
        ConfigError: there is none, or the terminal would show it.
    """
    from router.secret_store.secret_rules import SECRET_LIMIT_BYTES

    # Python has None for a stream it was started without, although typeshed does not say so.
    if sys.stdin is None:
        raise ConfigError("the value", "is read from stdin, which is closed")
    if is_for_a_person(sys.stdin):
        return ask_hidden(f"Value of {name} (is not shown): ", way_out="; give it on stdin")
    data = sys.stdin.buffer.read(SECRET_LIMIT_BYTES + 2)
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError("the value", "is not UTF-8 text") from None
