"""Names resources of several servers apart, in URIs of the router's own.

A URI of a server stays as it is wherever one server alone answers for it. For all others there are
two forms that name the instance:

- `mcp-router://{instance}/{URI}`, with the URI percent-encoded, or as it is in a template, behind a
  colon if the template has none before its first expression;
- `ui://{instance}/{URI}` for an interface of MCP Apps, because its hosts insist on that scheme
  (MCP Apps 2026-01-26, UI Resource Format).

A third form names what the router itself keeps of an instance: the pages of a result that was cut,
at `mcp-router://{instance}/results/{id}?page={number}`. The slash after `results` tells it from the
other forms, in which it would be percent-encoded, or stand behind a colon.

Invariant: two pairs of instance and URI never have one URI. The first `/` after the scheme ends the
instance, whose name is percent-encoded, and what follows it is decoded in one way only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from msgspec import Struct

from router.messages.instances.exposure import matches_any

if TYPE_CHECKING:
    from router.messages.instances.exposure import NameFilter

SCHEME: Final = "mcp-router://"
UI_SCHEME: Final = "ui://"


def is_always_named(uri: str) -> bool:
    """Return whether a direct view shows a URI (or template) of a server only in a form of ours.

    Many servers use the same URIs of MCP Apps. A URI in a form of ours, from a server that is an
    MCP Router itself, would name an instance here.
    """
    return uri.startswith((SCHEME, UI_SCHEME))


def shown_uri(instance: str, uri: str) -> str:
    """Return the URI that names an instance and a URI of its server."""
    scheme = UI_SCHEME if uri.startswith(UI_SCHEME) else SCHEME
    return f"{scheme}{quote(instance, safe='')}/{quote(uri, safe='')}"


def shown_template(instance: str, template: str) -> str:
    """Return the template that names an instance and a template of its server.

    The template follows as it is: a client that expands it encodes the values, and nothing else.
    """
    scheme = UI_SCHEME if template.startswith(UI_SCHEME) else SCHEME
    # The colon of a scheme tells `own_uri` that nothing is encoded; few templates have none.
    has_scheme = template.partition("{")[0].find(":") > 0
    return f"{scheme}{quote(instance, safe='')}/{'' if has_scheme else ':'}{template}"


def own_uri(shown: str) -> tuple[str, str] | None:
    """Return the instance and its server's URI (or template) in a URI of ours; None for others."""
    scheme = SCHEME if shown.startswith(SCHEME) else UI_SCHEME
    if not shown.startswith(scheme):
        return None
    instance, _, rest = shown[len(scheme) :].partition("/")
    # A percent-encoded URI has no colon left, and a template as it is has one.
    uri = rest.removeprefix(":") if ":" in rest else unquote(rest)
    # Servers have URIs of the scheme `ui` themselves; ours hold another one.
    is_ours = scheme == SCHEME or uri.startswith(UI_SCHEME)
    return (unquote(instance), uri) if instance and uri and is_ours else None


# --- Results that are kept -------------------------------------------------------------------

_RESULTS: Final = "results/"
_MAX_RESULT_URI_CHARS: Final = 4096
_PAGE: Final = re.compile(r"page=([0-9]{1,9})")


def result_uri(instance: str, result_id: str) -> str:
    """Return the URI of the first page of a result.

    Args:
        instance: the name of the instance.
        result_id: letters, digits, `-`, `_` and `=`.
    """
    return f"{SCHEME}{quote(instance, safe='')}/{_RESULTS}{result_id}"


def own_result(uri: str) -> tuple[str, str, int | None] | None:
    """Return the instance, id and page in the URI of a kept result; None for any other URI.

    The page is 1 where the URI names none, and None where it names one in a wrong way.
    """
    if not uri.startswith(SCHEME) or len(uri) > _MAX_RESULT_URI_CHARS:
        return None
    instance, _, rest = uri[len(SCHEME) :].partition("/")
    if not rest.startswith(_RESULTS):
        return None
    result_id, _, query = rest.removeprefix(_RESULTS).partition("?")
    found = _PAGE.fullmatch(query)
    page = 1 if not query else None if found is None else int(found[1])
    return unquote(instance), result_id, page


# --- Filters ---------------------------------------------------------------------------------


def is_admitted(names: NameFilter, uri: str) -> bool:
    """Return whether a filter admits a URI however it is written.

    A server may take `file:///project/%2e%2E/secret` for `file:///secret` (RFC 3986 section 6.2.2).
    So the URI without dot segments has to be admitted as well, and must not be denied unescaped.
    """
    if names.admits_all:
        return True
    if not names.admits(uri):
        return False
    scheme, colon, rest = uri.partition(":")
    if not colon:
        return True
    plain = scheme.lower() + colon + _without_dot_segments(_DOT.sub(".", rest))
    if plain != uri and not names.admits(plain):
        return False
    unescaped = unquote(plain)
    resolved = _without_dot_segments(unescaped)
    if resolved != unescaped and not names.admits(resolved):
        return False
    return not matches_any(resolved, (*names.deny, *map(unquote, names.deny)))


_DOT: Final = re.compile("%2e", re.IGNORECASE)


def _without_dot_segments(path: str) -> str:
    """Return a URI, or its end, as RFC 3986 section 5.2.4 resolves it, above no beginning."""
    if "/." not in path:
        return path
    head, slashes, rest = path.partition("//")
    if not slashes:
        head, rest = "", path
    first, *segments = rest.split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return head + slashes + "/".join([first, *kept])


# --- Templates -------------------------------------------------------------------------------

_EXPRESSION: Final = re.compile(r"\{([^{}]*)\}")
"""An expression of a URI template (RFC 6570 section 2)."""

_OPERATORS: Final = "+#./;?&"
"""Expressions that begin with one of these may expand to text with slashes."""


class UriTemplate(Struct, frozen=True):
    """A URI template (RFC 6570), taken apart to recognise its expansions.

    Attributes:
        literals: the texts between the expressions, with the one before the first and the one
            after the last; either may be empty.
        may_have_slash: for each expression, whether its expansion may hold a slash.
    """

    literals: tuple[str, ...]
    may_have_slash: tuple[bool, ...]

    @classmethod
    def parse(cls, template: str) -> UriTemplate:
        """Return the parts of a template; a malformed expression counts as text."""
        parts = _EXPRESSION.split(template)
        operators = (expression[:1] in _OPERATORS for expression in parts[1::2])
        return cls(tuple(parts[::2]), tuple(operators))

    def matches(self, uri: str) -> bool:
        """Return whether a URI may be an expansion of this template.

        Each text is looked for once, from left to right, so this takes linear time whatever a
        server writes. A few expansions that only another division would explain are not found.
        """
        first, *others = self.literals
        if not uri.startswith(first):
            return False
        position = len(first)
        for number, (literal, has_slash) in enumerate(
            zip(others, self.may_have_slash, strict=True), 1
        ):
            is_last = number == len(others)
            found = _last_place(uri, literal) if is_last else uri.find(literal, position)
            if found < position or (not has_slash and "/" in uri[position:found]):
                return False
            position = found + len(literal)
        return position == len(uri)


def _last_place(uri: str, literal: str) -> int:
    """Return the position at which a URI ends in this text; -1 if it does not."""
    return len(uri) - len(literal) if uri.endswith(literal) else -1
