"""Finds names and texts of tools that lead a model from one server's tool to another's. Pure.

Equal names of tools are no finding: a direct name, and `mcp.router.call`, name the instance as
well. Three things are:

- A name that differs from another instance's in nothing that a reader sees: case, width, letters of
  other alphabets (after Unicode Technical Standard 39, section 4), l and 1, O and 0, rn and m.
- A name that is a name of the router's own tools, or the direct name of another instance's tool.
- A text that names another instance's tool. Only names that are no plain words count.

The table is small on purpose: the letters of Cyrillic, Greek and Armenian that look like those of
names in ASCII. NFKC brings what is wide, mathematical or enclosed to the plain letters before.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from router.core.names.direct_names import SEPARATOR
from router.core.protocol.own_tools.router_tools import canonical_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LETTERS: Final = str.maketrans(
    "аАвВсСеЕһНіІјЈкКмМоОрРѕЅтТуУхХԁԛԝԌґոսցհօαΑΒϲϹεΕΗιΙϳκΚΜνΝοΟρΡΤυΥχΧΖ",
    "aAbBcCeEhHiIjJkKmMoOpPsStTyYxXdqwGrnughoaABcCeEHiIjkKMvNoOpPTuYxXZ",
)
_DIGITS: Final = str.maketrans("I1|0", "lllO")

MIN_NAME: Final = 6
"""Characters of a name that a text is searched for."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]*[A-Za-z0-9]")
_NO_PLAIN_WORD: Final = re.compile(r"[_.\-/]|[a-z][A-Z]")


class Flag(Struct, frozen=True):
    """Something suspicious in a tool.

    Attributes:
        instance: the name of its instance.
        tool: the server's name for it.
        kind: "hidden_text", "lookalike" or "shadowing".
        text: a sentence for a person.
    """

    instance: str
    tool: str
    kind: str
    text: str


def skeletons(name: str) -> tuple[str, str]:
    """Return two forms of a name; names that look alike have one of them in common."""
    plain = unicodedata.normalize("NFKC", name).translate(_LETTERS)
    shape = plain.translate(_DIGITS).casefold().replace("rn", "m").replace("vv", "w")
    return plain.casefold(), shape


def lookalikes(tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Flag]:
    """Yield a flag for each tool whose name looks like another of another instance.

    Args:
        tools: instance -> tool -> anything.
    """
    by_form: dict[tuple[int, str], dict[str, str]] = {}
    for instance, names in tools.items():
        for name in names:
            for number, form in enumerate(skeletons(name)):
                by_form.setdefault((number, form), {}).setdefault(name, instance)
    told: set[tuple[str, str]] = set()
    for alike in by_form.values():
        (first, owner), *others = alike.items()
        for name, instance in others:
            if instance != owner and (instance, name) not in told:
                told.add((instance, name))
                text = f"its name looks like '{first}' of {owner}"
                yield Flag(instance, name, "lookalike", text)


def shadowing(tools: Mapping[str, Mapping[str, bytes]]) -> Iterator[Flag]:
    """Yield a flag for each tool that takes, or tells of, the name of another's tool.

    Args:
        tools: instance -> tool -> its JSON.
    """
    owners: dict[str, str] = {}
    direct: dict[str, str] = {}
    for instance, names in tools.items():
        for name in names:
            direct[f"{instance}{SEPARATOR}{name}"] = instance
            if len(name) >= MIN_NAME and _NO_PLAIN_WORD.search(name):
                owners.setdefault(name, instance)
    for instance, names in tools.items():
        for name, raw in names.items():
            if canonical_name(name) is not None:
                yield Flag(instance, name, "shadowing", "it has the name of the router's own tool")
            elif direct.get(name, instance) != instance:
                text = f"its name is the direct name of a tool of {direct[name]}"
                yield Flag(instance, name, "shadowing", text)
            for word in sorted(_words_in(raw)):
                owner = direct.get(word) or owners.get(word, instance)
                if owner != instance and word not in names:
                    text = f"its text names '{word}', a tool of {owner}"
                    yield Flag(instance, name, "shadowing", text)


def _words_in(raw: bytes) -> set[str]:
    text = raw.decode(errors="replace")
    if "\\" in text:
        try:
            text = json.dumps(json.loads(raw), ensure_ascii=False).replace("\\n", " ")
        except (ValueError, RecursionError):
            return set()
    return set(_WORD.findall(text))
