"""`mcp-router tools pins` and `tools approve`: what became of approved tools, and their approval.

Invariant: an approval sends the digests of what was shown; the router refuses what changed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.cli.rest_api.names import known_instance, no_such
from router.cli.rest_api.requests import ask, get_json, route
from router.cli.running.status import printable_json
from router.cli.terminal import ask_yes_no, complain, console, say, terminal_width
from router.cli.text_columns import columns_of, joined, safe_line, safe_text
from router.messages.errors import ConfigError
from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from router.cli.rest_api.rest_client import RestApi

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}
"""The first character of a line in a diff -> its colour."""


def show_pins(api: RestApi, instance: str | None, *, is_json: bool) -> int:
    """Print what differs from what was approved, and what is suspicious."""
    pins = _pins(api, instance)
    if is_json:
        _say_json(pins)
        return 0
    if pins["problem"] is not None:
        complain(pins["problem"])
    rows = [
        (safe_line(row["instance"]), safe_line(row["tool"]), _state_of(row))
        for row in pins["tools"]
    ]
    rows += [
        (safe_line(flag["instance"]), safe_line(flag["tool"]), safe_line(flag["text"]))
        for flag in pins["flags"]
    ]
    nothing = f"All tools are as they were approved (security.pinning is {pins['pinning']})."
    if pins["pinning"] == "off":
        nothing = "Tools are not pinned; security.pinning in config.json is off."
    if rows or pins["problem"] is None:
        say(joined(columns_of(rows, terminal_width()) or [nothing]))
    return int(pins["problem"] is not None)


def approve(
    api: RestApi, instance: str | None, tools: list[str], *, is_yes: bool, is_json: bool
) -> int:
    """Show what differs, ask, and approve it; the status is 1 if anything was not approved.

    Args:
        instance: only its tools; None for those of all.
        tools: only these, by the server's names; none for all.
    """
    pins = _pins(api, instance)
    if pins["problem"] is not None:
        complain(pins["problem"])
        return 1
    if pins["pinning"] == "off":
        raise ConfigError("config.json: security.pinning", 'is "off", so no tool needs approval')
    rows = _chosen(pins["tools"], instance, tools)
    answers: list[Any] = []
    failed = False
    for name in dict.fromkeys(row["instance"] for row in rows):
        those = [row for row in rows if row["instance"] == name]
        if not is_json:
            _show(those, pins["flags"])
        what = "1 tool" if len(those) == 1 else f"{len(those)} tools"
        if ask_yes_no(f"Approve {what} of {name}?", is_yes=is_yes):
            body = {"tools": {row["tool"]: row["sha256"] for row in those}}
            answers.append(ask(api, "POST", route("instances", name, "tools", "approve"), body))
            if not is_json:
                say(f"{name}: approved {', '.join(safe_line(row['tool']) for row in those)}\n")
        else:
            complain(f"{name}: nothing was approved")
            failed = True
    if is_json:
        _say_json(answers)
    elif not rows:
        say("Nothing waits for approval.\n")
    return int(failed)


def check_not_quarantined(api: RestApi, instance: str, tool: str) -> None:
    """Check that a tool which is not listed does not wait for approval.

    Raises:
        ConfigError: it does.
    """
    try:
        pins = get_json(api, route("pins"))
    except ConfigError:
        return  # The router cannot tell: an older one, or a token that may not read.
    if pins["problem"] is not None and pins["pinning"] == "block":
        raise ConfigError(safe_line(tool), f"is quarantined in {instance}: {pins['problem']}")
    for row in pins["tools"]:
        if (row["instance"], row["tool"], row["quarantined"]) == (instance, tool, True):
            way_out = f"run: mcp-router tools approve {instance}"
            raise ConfigError(safe_line(tool), f"is quarantined in {instance}; {way_out}")


def _pins(api: RestApi, instance: str | None) -> dict[str, Any]:
    """Return what the router shows of pins, of all instances or of one.

    Args:
        instance: its name, for the parts of persons in it as well; or that of one such part.
    """
    pins = get_json(api, route("pins"))
    if instance is None:
        return pins
    wanted, mark, person = instance.partition(CLIENT_MARK)
    with known_instance(api, wanted):
        name = get_json(api, route("instances", wanted))["name"]
    exact = name + mark + person

    def is_wanted(one: dict[str, Any]) -> bool:
        return exact in (one["instance"], one["instance"].partition(CLIENT_MARK)[0])

    return pins | {key: [one for one in pins[key] if is_wanted(one)] for key in ("tools", "flags")}


def _chosen(
    rows: list[dict[str, Any]], instance: str | None, tools: list[str]
) -> list[dict[str, Any]]:
    """Return the rows of these tools, or all.

    Raises:
        ConfigError: one of them does not differ from what was approved.
    """
    differing = [row["tool"] for row in rows]
    for tool in tools:
        if tool not in differing:
            raise no_such("tool that waits for approval", tool, differing, f" in {instance}")
    return [row for row in rows if not tools or row["tool"] in tools]


def _show(rows: list[dict[str, Any]], flags: list[dict[str, Any]]) -> None:
    # For start-up time: only who looks needs colours.
    from rich.text import Text

    out = console()
    for row in rows:
        title = f"{row['instance']}  {safe_line(row['tool'])}  {_state_of(row)}"
        out.print(Text(title, "bold"), soft_wrap=True)
        for flag in flags:
            if (flag["instance"], flag["tool"]) == (row["instance"], row["tool"]):
                out.print(Text(f"! {safe_line(flag['text'])}", "bold red"), soft_wrap=True)
        for line in safe_text(row["diff"]).splitlines():
            out.print(Text(line, _STYLES.get(line[:1], "")), soft_wrap=True)


def _state_of(row: dict[str, Any]) -> str:
    return f"{row['change']}, quarantined" if row["quarantined"] else str(row["change"])


def _say_json(value: Any) -> None:
    say(f"{printable_json(msgspec.json.format(msgspec.json.encode(value), indent=2))}\n")
