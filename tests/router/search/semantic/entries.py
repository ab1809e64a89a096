"""Entries and scopes for tests."""

from __future__ import annotations

from router.messages.own_tools.search import Found
from router.search.reranking import Entry, Scope


def entry(name: str, first: str = "", rest: str = "", row: str = "git") -> Entry:
    """Return a tool of an instance that has the name of its row."""
    shown = f"{row}__{name}"
    return Entry(Found(row, "tool", name), shown, name, "", first, rest, "", "", row, "")


def scope_of(*entries: Entry) -> Scope:
    """Return the scope of exactly these entries."""
    return Scope(tuple(one.found for one in entries))
