"""Makes changes of instances: through the router that runs, or in `data/` while none does.

Invariant: a router that is reached makes the change itself, with its own checks and its record.
Where nobody listens, the files are changed here, by the same code and under the same lock.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import options_of
from router.cli.rest_api.names import known_instance, no_such
from router.cli.rest_api.requests import START_S, Refused, ask, get_json, route
from router.cli.rest_api.rest_client import NotReached
from router.cli.rest_api.running_router import running_router
from router.cli.text_columns import safe_line
from router.config.options import locate, with_data_folder
from router.config.settings import settings_as_written
from router.messages.errors import INSTANCE_NOT_FOUND, ConfigError, RpcError

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi
    from router.config.options import Paths
    from router.config.settings import Settings
    from router.messages.commands import Change

WAIT: Final = "?wait=ready"


def reached_router(arguments: argparse.Namespace) -> RestApi | None:
    """Return the API of the router that runs; None if nobody listens where it would be.

    Raises:
        ConfigError: `--url` names a router that does not answer, or what answers is none.
    """
    try:
        api = running_router(arguments)
        get_json(api, "/health")
    except NotReached:
        if arguments.url is not None:
            raise
        return None
    return api


def files_of(arguments: argparse.Namespace) -> tuple[Settings, Paths]:
    """Return the settings and the paths of the router that is not running."""
    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    settings = settings_as_written(paths.config)
    return settings, with_data_folder(paths, options, settings.watcher.watch_path)


def change_files(paths: Paths, change: Change, *, may_refer: bool = False) -> str:
    """Make a change in `data/`, and return the instance's name.

    Args:
        paths: of the router that does not run.
        change: the change.
        may_refer: the entry may hold references such as `${VAR}`.

    Raises:
        ConfigError: it cannot be made; nothing was changed.
    """
    # For start-up time: most changes are made by a router.
    from router.instance_files.edits import apply_change

    try:
        return apply_change(paths.data, change, may_refer=may_refer)
    except FileNotFoundError:
        raise ConfigError(str(paths.data), "there is no such folder, so no instance") from None
    except RpcError as error:
        if error.code == INSTANCE_NOT_FOUND:
            raise no_such("instance", getattr(change, "name", ""), names_in(paths)) from None
        raise ConfigError(str(paths.data), error.message) from None


def names_in(paths: Paths) -> list[str]:
    """Return the names of the instances in `data/`."""
    # For start-up time, as above.
    from router.instance_files.reader import load_instances

    return [spec.name for spec in load_instances(paths.data, {}).specs]


def ask_for(api: RestApi, method: str, name: str, *steps: str, wait: bool = False) -> Any:
    """Have the router change one instance; see `requests.ask`."""
    with known_instance(api, name):
        target = route("instances", name, *steps) + (WAIT if wait else "")
        return ask(api, method, target, timeout_s=START_S)


def state_line(api: RestApi, name: str) -> str:
    """Return what became of an instance, such as `files: ready, 12 tools`."""
    row = get_json(api, route("instances", name))
    count = row["tools_count"]
    tools = f", {count} tool{'' if count == 1 else 's'}" if row["connected"] else ""
    reason = row.get("doing") or row.get("last_error")
    why = f": {safe_line(reason)}" if reason and not row["connected"] else ""
    return f"{safe_line(row['name'])}: {safe_line(row['state'])}{tools}{why}"


def problem_text(error: ConfigError) -> str:
    """Return an error as it is told beside those of other instances."""
    return error.problem if isinstance(error, Refused) else str(error)
