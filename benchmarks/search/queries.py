"""Reads the queries of people with the tools that answer them, and scores rankings by these.

Each line of `queries.jsonl` has the words, the tools that answer them as `INSTANCE/TOOL`, and its
part: rankings are tuned by "tune" alone. "test" was written with it, before any tuning; "fresh"
after that, by somebody who knew neither rankings nor queries.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final, Literal, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.search.catalogues import Catalogue

QUERIES: Final = Path(__file__).with_name("queries.jsonl")

Part = Literal["tune", "test", "fresh"]
Language = Literal["English", "Chinese"]
PARTS: Final[tuple[Part, ...]] = ("tune", "test", "fresh")
LANGUAGES: Final[tuple[Language, ...]] = ("English", "Chinese")

_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")


class UnknownToolError(Exception):
    """A query names a tool that no server lists."""


@attrs.frozen
class Query:
    """One query.

    Attributes:
        text: the words.
        tools: those that answer it, as `INSTANCE/TOOL`; any of them is right.
        part: "tune", "test" or "fresh".
    """

    text: str
    tools: frozenset[str]
    part: Part

    @property
    def language(self) -> Language:
        return "Chinese" if _CHINESE.search(self.text) else "English"


def read_queries(file: Path = QUERIES) -> list[Query]:
    """Return the queries of a file of JSON lines."""
    lines = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    return [Query(one["query"], frozenset(one["tools"]), one["part"]) for one in lines]


def check_tools(queries: Iterable[Query], catalogues: Iterable[Catalogue]) -> None:
    """Return if every tool that a query names is listed.

    Raises:
        UnknownToolError: one is not.
    """
    known = {f"{one.name}/{tool['name']}" for one in catalogues for tool in one.tools}
    for query in queries:
        for tool in sorted(query.tools - known):
            raise UnknownToolError(f"No server lists {tool}, which answers {query.text!r}")


@attrs.frozen
class Score:
    """The quality of a ranking for some queries.

    Attributes:
        hit_1: the share with a right tool in the first place.
        hit_5: the share with a right tool among the first five.
        reciprocal_rank: the mean of 1 / the place of the first right tool, 0 where it has none.
    """

    hit_1: float
    hit_5: float
    reciprocal_rank: float

    @classmethod
    def of(cls, places: Sequence[int | None]) -> Score:
        """Return the score of the places of the first right tools, counted from 1."""
        return cls(
            fmean(place == 1 for place in places),
            fmean(place is not None and place <= 5 for place in places),
            fmean(1 / place if place else 0.0 for place in places),
        )


def place_of(query: Query, ranking: Sequence[str]) -> int | None:
    """Return the place of the first right tool in a ranking, from 1; None if there is none."""
    return next((place for place, tool in enumerate(ranking, 1) if tool in query.tools), None)


def scores(
    rankings: Mapping[str, Sequence[str]], queries: Sequence[Query], part: Part
) -> dict[Language | Literal["all"], Score]:
    """Return the scores of one part by language, and of all of it.

    Args:
        rankings: text of a query -> tools, the best first.
        queries: of all parts.
        part: the part to score.
    """
    wanted = [query for query in queries if query.part == part]
    found: dict[Language | Literal["all"], Score] = {}
    for language in (*LANGUAGES, "all"):
        of_it = [one for one in wanted if language in ("all", one.language)]
        places = [place_of(one, rankings[one.text]) for one in of_it]
        found[cast("Language", language)] = Score.of(places)
    return found
