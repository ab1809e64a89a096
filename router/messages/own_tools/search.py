"""Effects and an event about searching what servers offer; see `effects` and `events`. Data only.

Whoever keeps the index gets the effects in their order, and sends one `ToolsFound` for each
`SearchTools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.messages.errors import RpcError
    from router.messages.instances.exposure import NameFilter

Kind: TypeAlias = Literal["tool", "prompt", "resource"]
"""A kind of what can be searched; templates are among the resources."""


class Searchable(Struct, frozen=True):
    """One tool, prompt, resource or template.

    Attributes:
        kind: its kind.
        key: the name by which the row of its instance lists it, or its URI.
        shown: its direct name, or the URI by which clients see it.
        raw: as the server describes it: JSON.
    """

    kind: Kind
    key: str
    shown: str
    raw: Raw


class IndexTools(Struct, frozen=True):
    """Have everything that a row offers searched, in place of what it offered before.

    Attributes:
        row: the address of the row: of an instance, or of the part of it that one person has.
        instance: the name of the instance.
        summary: a line about it; empty for none.
        offered: everything that it offers; `()`: the row is forgotten.
    """

    row: str
    instance: str
    summary: str
    offered: Iterable[Searchable]


class SearchTools(Struct, frozen=True):
    """Have something searched; a `ToolsFound` with the same `key` follows.

    Attributes:
        key: names this search in the `ToolsFound`.
        query: words as people or models write them.
        rows: the addresses of the rows to search; some may not be indexed.
        names: admits tools by `shown`; prompts and resources are not filtered.
        kind: the kind to search.
        limit: the greatest number of results.
    """

    key: int
    query: str
    rows: frozenset[str]
    names: NameFilter
    kind: Kind
    limit: int


class Found(Struct, frozen=True):
    """One result of a search: see `Searchable`."""

    row: str
    kind: Kind
    key: str


class ToolsFound(Struct, frozen=True):
    """The end of a `SearchTools`.

    Attributes:
        key: the key of that effect.
        found: the best first; those whose name is the query before all others.
        is_clear: True if the first is clearly better than the second.
        total: the number of what was searched.
        problem: the reason why nothing could be searched; None if it was.
    """

    key: int
    found: tuple[Found, ...] = ()
    is_clear: bool = False
    total: int = 0
    problem: RpcError | None = None
