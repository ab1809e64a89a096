"""`mcp-router add`: adds a server, or brings a file in `data/` into shape."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import UsageError, add_router_options, options_of
from router.cli.terminal import complain
from router.config.options import locate, with_data_folder
from router.config.settings import settings_as_written
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Add a server to the router, whether it runs or not:

  add NAME -- COMMAND...        one that is started by a command
  add NAME URL                  one behind a URL
  add [NAME] --from-registry X  one of the MCP registry: X is its name there, or the file or URL
                                of its server.json

A variable or header of which only the name is given is asked for, without echo, and kept among the
router's secrets. With a running router the command waits until the server is ready.

  add INSTANCE PROVIDER [DISPLAY] brings data/PROVIDER/mcp_settings.json into shape: one entry with
                                all its keys, under this name."""

EXAMPLES: Final = """
mcp-router add second -- mcp-router-example
mcp-router add github --env GITHUB_TOKEN -- npx -y @modelcontextprotocol/server-github
mcp-router add docs https://example.com/mcp --header 'Authorization: Bearer ${DOCS_TOKEN}'
mcp-router add --from-registry io.github.user/weather
mcp-router add files files "My files"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `add`."""
    parser.add_argument("instance", metavar="NAME", nargs="?", help="the name that it gets")
    parser.add_argument(
        "provider", metavar="URL|PROVIDER", nargs="?", help="its URL, or a folder in data/"
    )
    parser.add_argument("display", metavar="DISPLAY", nargs="?", help="the name for people")
    parser.add_argument(
        "--env",
        metavar="KEY[=${VAR}]",
        action="append",
        default=[],
        help="a variable for the command; may be repeated",
    )
    parser.add_argument(
        "--header",
        metavar="KEY[: ${VAR}]",
        action="append",
        default=[],
        help="a header for the URL; may be repeated",
    )
    parser.add_argument("--cwd", metavar="DIR", help="the folder that the command runs in")
    parser.add_argument("--type", choices=("http", "sse"), help="how the URL is spoken to")
    parser.add_argument("--from-registry", metavar="X", help="a server.json: name, file or URL")
    parser.add_argument(
        "--package",
        metavar="KIND",
        help="with --from-registry: npm, pypi, oci, nuget or remote, not the first that works",
    )
    parser.add_argument(
        "--registry",
        metavar="URL",
        default="https://registry.modelcontextprotocol.io",
        help="another registry that knows the name",
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it is ready")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Add the server, or rewrite the file."""
    is_url = (arguments.provider or "").startswith(("http://", "https://"))
    is_new = bool(arguments.rest) or is_url or arguments.from_registry is not None
    _check_operands(arguments, is_new=is_new, is_url=is_url)
    if not is_new:
        return _bring_into_shape(arguments)
    # For start-up time: its help needs none of it.
    from router.cli.changing.adding import add

    return add(arguments)


def _check_operands(arguments: argparse.Namespace, *, is_new: bool, is_url: bool) -> None:
    """Check that the arguments describe one thing.

    Raises:
        UsageError: they do not.
    """
    if arguments.from_registry is not None:
        if arguments.provider is not None or arguments.rest:
            raise UsageError("--from-registry takes a name at most, and neither URL nor --", "add")
        if arguments.cwd or arguments.type:
            raise UsageError("--from-registry takes neither --cwd nor --type", "add")
    elif arguments.instance is None or (arguments.provider is None and not arguments.rest):
        problem = "add takes a name, and then a URL or -- and a command"
        raise UsageError(f"{problem}; or the name of an instance and of its provider", "add")
    elif is_new and arguments.rest and arguments.provider is not None:
        raise UsageError("add takes a URL or -- and a command, not both", "add")
    elif is_url and arguments.display is not None:
        raise UsageError(f"unexpected {arguments.display!r} after the URL", "add")
    elif not is_new and (arguments.env or arguments.header or "://" in (arguments.provider or "")):
        problem = f"{arguments.provider} is no URL that begins with http:// or https://"
        raise UsageError(f"{problem}, and no command follows after --", "add")
    elif arguments.cwd and not arguments.rest:
        raise UsageError("--cwd is for a server that is started by a command after --", "add")
    elif arguments.type and not is_url:
        raise UsageError("--type is for a server behind a URL", "add")


def _bring_into_shape(arguments: argparse.Namespace) -> int:
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
