"""`mcp-router inspect INSTANCE`: tells everything that is known of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.terminal import say, terminal_width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

DESCRIPTION: Final = """\
Tell everything that a running router knows of a server: its state and why, what it says of itself,
how much it offers, its sessions, its filters and its entry. Secrets are not shown."""

EXAMPLES: Final = """
mcp-router inspect example
mcp-router inspect example --json
"""

SECRET: Final = "•••"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `inspect`."""
    parser.add_argument("instance", metavar="INSTANCE")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what is known."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import get_json, route
    from router.cli.running.status import printable_json
    from router.cli.text_columns import joined

    api = running_router(arguments)
    with known_instance(api, arguments.instance):
        details = get_json(api, route("instances", arguments.instance, "details"))
    if arguments.json:
        data = msgspec.json.format(msgspec.json.encode(details), indent=2)
        say(f"{printable_json(data)}\n")
    else:
        say(joined(lines_of(details, terminal_width())))
    return 0


def lines_of(details: dict[str, Any], width: int | None) -> list[str]:
    """Return the lines about an instance: a name and what is known, below each other."""
    # For start-up time, as above.
    from router.cli.text_columns import columns_of, safe_line

    rows = [
        *_state_rows(details),
        *_server_rows(details),
        *_session_rows(details),
        *_entry_rows(_member(details, "entry")),
    ]
    shown = [(safe_line(name), safe_line(text)) for name, text in rows if text]
    return columns_of(shown, width, is_wrapped=True)


def _member(value: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one if it is none."""
    found: Any = value.get(key)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _state_rows(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # For start-up time, as above.
    from router.cli.running.status import duration

    since = duration(details.get("in_state_s") or 0.0)
    yield "name", details["name"]
    yield "state", f"{details['state']} for {since}"
    yield (
        "because",
        "; before that: ".join(filter(None, (details.get("doing"), details.get("last_error")))),
    )
    retry_in_s = details.get("retry_in_s")
    yield "next try", "" if retry_in_s is None else f"in {duration(retry_in_s)}"
    counts = ("restarts", "calls", "in_flight", "waiting")
    yield (
        "counts",
        ", ".join(f"{details[key]} {key.replace('_', ' ')}" for key in counts if key in details),
    )
    for warning in details.get("warnings") or ():
        yield "warning", warning


def _server_rows(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    server, hidden = _member(details, "server"), _member(details, "hidden")
    title = server.get("title")
    named = " ".join(str(server[key]) for key in ("name", "version") if key in server)
    yield "server", f"{title} ({named})" if title and title != server.get("name") else named
    yield "about", server.get("websiteUrl") or ""
    yield "protocol", details.get("protocol") or ""
    yield "capabilities", ", ".join(_capabilities(_member(details, "capabilities")))
    stale = " (the last known ones)" if details.get("stale") else ""
    offers = [
        f"{count} {kind if count != 1 else kind[:-1]}"
        + (f" (and {hidden[kind]} hidden)" if hidden.get(kind) else "")
        for kind, count in _member(details, "counts").items()
    ]
    yield "offers", ", ".join(offers) + stale
    for line in (details.get("instructions") or "").splitlines():
        yield "instructions", line


def _capabilities(declared: dict[str, Any]) -> Iterator[str]:
    for name in declared:
        on = [key for key, value in _member(declared, name).items() if value]
        yield f"{name} ({', '.join(on)})" if on else name


def _session_rows(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # For start-up time, as above.
    from router.cli.running.status import duration

    for kind in ("replicas", "sessions"):
        for row in details.get(kind) or ():
            whose = f" of {row['client']}" if row.get("client") else ""
            why = f": {row['last_error']}" if row.get("last_error") else ""
            since = duration(row.get("in_state_s") or 0.0)
            yield kind[:-1], f"{row['name']}{whose}, {row['state']} for {since}{why}"


def _entry_rows(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # For start-up time, as above.
    from shlex import join

    if entry.get("command"):
        yield "command", join([entry["command"], *entry.get("args", ())])
    shown = {key: value for key, value in entry.items() if key not in ("command", "args")}
    for key, value in shown.items():
        yield f"entry.{key}", _value_text(value)


def _value_text(value: Any) -> str:
    # For start-up time, as above.
    import msgspec

    if isinstance(value, str):
        return value
    members = _member({"": value}, "")
    if members and all(one == {"set": True} for one in members.values()):
        return ", ".join(f"{key}={SECRET}" for key in members)
    return msgspec.json.encode(value).decode()
