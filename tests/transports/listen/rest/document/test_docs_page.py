"""The page of `/docs`: all that is documented is on it, and it needs nobody else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from tests.transports.listen.rest.rest_client import rest_site
from transports.listen.rest.document.docs_assets import ASSETS, SCRIPT
from transports.listen.rest.document.docs_page import docs_page
from transports.listen.rest.document.openapi import openapi_document

DOCUMENT: Final[dict[str, Any]] = openapi_document("9", has_logs=True)
HTML: Final = docs_page(DOCUMENT)
VOID: Final = frozenset({"meta", "link", "input"})


class Elements(HTMLParser):
    """Notes every element with its attributes; fails where they are not nested."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(html: str = HTML) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def test_every_route_is_on_the_page_once_with_a_form() -> None:
    wanted = sorted(
        (path, method.upper())
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    )
    forms = [attrs for tag, attrs in elements() if tag == "form" and "data-path" in attrs]
    assert sorted((str(one["data-path"]), str(one["data-method"])) for one in forms) == wanted


def test_every_link_leads_to_a_place_on_the_page() -> None:
    seen = elements()
    ids = [attrs["id"] for _, attrs in seen if "id" in attrs]
    links = {str(attrs["href"])[1:] for tag, attrs in seen if tag == "a" and attrs["href"]}
    assert len(ids) == len(set(ids))
    assert links <= {*ids, "penapi.json"}


def test_without_logs_there_is_no_section_for_them() -> None:
    html = docs_page(openapi_document("9", has_logs=False))
    elements(html)
    assert "Its log" not in html
    assert "Its log" in HTML


def test_page_loads_nothing_from_elsewhere_and_has_nothing_inline() -> None:
    seen = elements()
    loaded = {attrs.get("src") or attrs["href"] for tag, attrs in seen if tag in ("script", "link")}
    assert loaded == {"docs.js", "docs.css", "docs.svg"}
    assert not [tag for tag, _ in seen if tag in ("style", "img", "iframe", "base")]
    inline = [name for _, attrs in seen for name in attrs if name.startswith("on")]
    assert not inline
    assert not [attrs for _, attrs in seen if "style" in attrs]
    for text, _ in ASSETS.values():
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_script_writes_text_only_and_stores_nothing() -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write"):
        assert word not in SCRIPT
    for word in ("localStorage", "sessionStorage", "cookie"):
        assert word not in SCRIPT


def test_without_the_script_no_form_is_shown() -> None:
    live = [attrs for tag, attrs in elements() if tag == "form"]
    assert live
    assert all("hidden" in attrs and "live" in str(attrs["class"]) for attrs in live)


def test_where_people_log_in_the_page_says_so_once_its_script_runs() -> None:
    seen = elements(docs_page(DOCUMENT, has_login=True))
    by_id = {attrs["id"]: attrs for _, attrs in seen if "id" in attrs}
    assert "hidden" in by_id["login"]
    assert by_id["log-in"]["href"] == "login"
    assert "log-out" in by_id
    assert "log-in" not in HTML


def test_text_of_the_document_is_escaped() -> None:
    route = {"get": {**DOCUMENT["paths"]["/"]["get"], "summary": "<script>alert(1)</script>"}}
    html = docs_page({**DOCUMENT, "paths": {"/": route}})
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("kind", sorted(ASSETS))
async def test_its_parts_are_open_and_have_their_types(kind: str) -> None:
    async with rest_site() as site:
        got = await site.ask("GET", f"/docs.{kind}", token=None)
        other = await site.ask("GET", "/docs.exe")
    assert (got.status, got.body.decode()) == (200, ASSETS[kind][0])
    assert got.headers["content-type"] == ASSETS[kind][1]
    assert other.status == 404
