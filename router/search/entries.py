"""Reads the texts of tools, prompts and resources as their servers describe them.

Invariants: nothing that a server writes raises here, and all texts are bounded.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.messages.own_tools.search import Found
from router.search.reranking import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.messages.own_tools.search import IndexTools, Searchable

NAME_CHARS: Final = 256
SENTENCE_CHARS: Final = 300
REST_CHARS: Final = 1500
ARGUMENT_CHARS: Final = 200
DETAILS_CHARS: Final = 400
ARGUMENTS: Final = 64
CHOICES: Final = 20
"""Bounds of what is searched of one entry: longer texts say less with each word."""

READ_BYTES: Final = 65_536
"""Of the members of an entry that are no texts: to read longer ones would hold up all calls."""

# Descriptions often begin with a mark, a heading or a tag.
_LEAD: Final = re.compile(r"(?:[^\w]|purpose\b|description\b|summary\b)*", re.IGNORECASE)
_END: Final = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?](?=\s)|[\u3002\uff01\uff1f]|\n\s*\n")


def read_entry(batch: IndexTools, offered: Searchable) -> Entry:
    """Return the texts of one entry; what cannot be read is empty."""
    read = _decoded(offered)
    annotations = _object(read.get("annotations"))
    title = _text(read.get("title")) or _text(annotations.get("title"))
    first, rest = split_description(_text(read.get("description")))
    schema = _object(read.get("inputSchema"))
    arguments = dict(_arguments(read, schema))
    return Entry(
        Found(batch.row, offered.kind, offered.key),
        offered.shown,
        (_text(read.get("name")) or offered.key)[:NAME_CHARS],
        title[:NAME_CHARS],
        first,
        rest,
        " ".join(arguments)[:DETAILS_CHARS],
        " ".join(filter(None, arguments.values()))[:DETAILS_CHARS],
        batch.instance,
        batch.summary[:SENTENCE_CHARS],
    )


def split_description(text: str) -> tuple[str, str]:
    """Return the first sentence of a description, and what follows it."""
    text = text[: SENTENCE_CHARS + REST_CHARS]
    lead = _LEAD.match(text)
    start = lead.end() if lead is not None else 0
    end = _END.search(text, start, start + SENTENCE_CHARS)
    stop = min(start + SENTENCE_CHARS, len(text)) if end is None else end.end()
    return text[start:stop].strip(), text[stop:].strip()


def _decoded(offered: Searchable) -> dict[str, Any]:
    try:
        if len(offered.raw) <= READ_BYTES:
            return _object(msgspec.json.decode(offered.raw))
        return _decoded_in_part(offered.raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _decoded_in_part(raw: msgspec.Raw) -> dict[str, Any]:
    """Return the texts of a long entry, and as many of its arguments as may be read."""
    members = _members.decode(raw)
    room = READ_BYTES
    properties: dict[str, Any] = {}
    schema = _members_of(_members_of(members.get("inputSchema")).get("properties"))
    for name, described in islice(schema.items(), ARGUMENTS):
        room -= len(described)
        properties[name] = msgspec.json.decode(described) if room >= 0 else None
    read: dict[str, Any] = {"inputSchema": {"properties": properties}}
    for key in ("name", "title", "description", "annotations", "arguments"):
        member = members.get(key, _NULL)
        if len(member) <= READ_BYTES or bytes(member).startswith(b'"'):
            read[key] = msgspec.json.decode(member)
    return read


_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = msgspec.Raw(b"null")


def _members_of(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    return _members.decode(raw) if raw is not None and bytes(raw).startswith(b"{") else {}


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _arguments(read: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the description of each argument of a tool or prompt."""
    properties = list(_object(schema.get("properties")).items())
    listed = read.get("arguments")
    if isinstance(listed, list):
        properties += [
            (_text(_object(each).get("name")), each) for each in cast("list[Any]", listed)
        ]
    for name, described in properties[:ARGUMENTS]:
        argument = _object(described)
        description = _text(argument.get("description"))[:ARGUMENT_CHARS]
        yield name[:NAME_CHARS], f"{description} {_choices(argument)}".strip()


def _choices(argument: dict[str, Any]) -> str:
    values = argument.get("enum")
    if not isinstance(values, list):
        return ""
    texts = map(_text, cast("list[Any]", values)[:CHOICES])
    return " ".join(filter(None, texts))[:ARGUMENT_CHARS]
