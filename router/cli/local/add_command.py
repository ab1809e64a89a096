"""`mcp-router add INSTANCE PROVIDER [DISPLAY]`: brings a file in `data/` into shape."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import options_of
from router.cli.terminal import complain
from router.config.options import locate, with_data_folder
from router.config.settings import settings_as_written
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Bring data/PROVIDER/mcp_settings.json into shape: one entry with all its keys, under this name."""

EXAMPLES: Final = """
mcp-router add files files "My files"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands of `add`."""
    parser.add_argument("instance", metavar="INSTANCE", help="the name that it gets")
    parser.add_argument("provider", metavar="PROVIDER", help="the folder in data/")
    parser.add_argument("display", metavar="DISPLAY", nargs="?", help="the name for people")


def run(arguments: argparse.Namespace) -> int:
    """Rewrite the file, and say which instance it holds."""
    # For start-up time: its help needs none of it.
    from router.cli.local.normalise_entry import normalise_instance

    options = options_of(arguments)
    paths = locate(options, os.environ, Path.cwd())
    settings = settings_as_written(paths.config)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    name = arguments.instance
    if name in settings.profiles:
        raise ConfigError("instance", f"{name} is the name of a profile; choose another name")
    operands = filter(None, (name, arguments.provider, arguments.display))
    try:
        spec = normalise_instance(paths.data, *operands)
    except ConfigError as exc:
        raise ConfigError(exc.place, f"{exc.problem} (data/ is {paths.data})") from None
    complain(f"{spec.display_name} is ready in {spec.source}")
    return 0
