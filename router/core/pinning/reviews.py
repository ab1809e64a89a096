"""Shows what became of approved tools: differences as diffs, and what is suspicious. Pure.

It may take long for thousands of tools, so it is for a worker thread.
"""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from router.core.pinning.hidden_text import hidden_text
from router.core.pinning.lookalikes import Flag, lookalikes, shadowing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.core.pinning.pin_table import Difference
    from router.messages.core_settings import PinningSetting

MAX_LINES: Final = 3000
"""Lines of a tool up to which both forms are compared; the time grows with their product."""


class PinnedInstance(Struct, frozen=True, eq=False):
    """An instance to be reviewed.

    Attributes:
        tools: its tools by their names.
        differences: what differs from what was approved.
    """

    tools: dict[str, Raw]
    differences: list[Difference]


class PinReview(Struct, frozen=True, eq=False):
    """Everything that a review needs.

    Attributes:
        pinning: the setting.
        problem: the reason why the file of pins cannot be used; None if it can.
        instances: the instances, by name.
    """

    pinning: PinningSetting
    problem: str | None
    instances: dict[str, PinnedInstance]


def review(asked: PinReview) -> dict[str, Any]:
    """Return the value of `GET /api/pins`."""
    tools = {
        name: {tool: bytes(raw) for tool, raw in one.tools.items()}
        for name, one in asked.instances.items()
    }
    flags = [*_hidden(tools), *lookalikes(tools), *shadowing(tools)]
    return {
        "pinning": asked.pinning,
        "problem": asked.problem,
        "tools": [
            _row(asked, name, found)
            for name, one in asked.instances.items()
            for found in one.differences
            if found.is_settled
        ],
        "flags": [msgspec.to_builtins(flag) for flag in flags],
    }


def _hidden(tools: dict[str, dict[str, bytes]]) -> Iterator[Flag]:
    for instance, those in tools.items():
        for name, raw in those.items():
            for text in hidden_text(raw):
                yield Flag(instance, name, "hidden_text", text)


def _row(asked: PinReview, instance: str, found: Difference) -> dict[str, Any]:
    return {
        "instance": instance,
        "tool": found.tool,
        "change": found.change,
        "quarantined": asked.pinning == "block" and found.now is not None,
        "approved_sha256": found.approved_sha256 or None,
        "sha256": found.sha256 or None,
        "diff": diff_of(found.approved, found.now),
    }


def diff_of(approved: bytes | None, now: bytes | None) -> str:
    """Return a unified diff of two forms of a tool, without a head; None for no tool."""
    before, after = _lines(approved), _lines(now)
    if before == after:
        # Only its bytes differ, such as by a member that is there twice.
        before, after = ([(one or b"").decode(errors="replace")] for one in (approved, now))
    if len(before) > MAX_LINES or len(after) > MAX_LINES:
        return "".join([f"-{line}\n" for line in before] + [f"+{line}\n" for line in after])
    lines = list(unified_diff(before, after, lineterm=""))
    return "".join(f"{line}\n" for line in lines[2:])


def _lines(raw: bytes | None) -> list[str]:
    """Return a tool over several lines, with members in order and nothing invisible."""
    if raw is None:
        return []
    try:
        text = json.dumps(json.loads(raw), indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = raw.decode(errors="replace")
    return [
        # Most lines are so, and this is fast.
        line if line.isascii() and line.isprintable() else "".join(map(_visible, line))
        for line in text.split("\n")
    ]


def _visible(char: str) -> str:
    """Return a character, or its escape if it would not be seen as it is."""
    if char == " " or (char.isprintable() and not _varies(char)):
        return char
    return json.dumps(char)[1:-1]


def _varies(char: str) -> bool:
    # These are printable to Python: variation selectors and blank letters.
    return (
        "\ufe00" <= char <= "\ufe0f"
        or char in "\u034f\u115f\u1160\u3164\uffa0"
        or char > "\U000e00ff"
    )
