"""The documents name files, functions and keys that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.config.live import live_keys
from router.config.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

HOPS = re.findall(r"^\| \d+ \| `([\w/.]+)`: `(\w+)` \|", PAGE, re.MULTILINE)
ROOMS = re.findall(r"`((?:router|transports|supervisors)(?:/\w+)+(?:\.py)?)`", PAGE)


@pytest.mark.parametrize(("file", "name"), HOPS)
def test_a_hop_of_the_walk_through_one_call_is_there(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert re.search(rf"^ *(?:async )?(?:def|class) {name}\b", source, re.MULTILINE)


PAGES = [ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_walk_has_all_its_hops() -> None:
    assert len(HOPS) == 16


@pytest.mark.parametrize("room", sorted(set(ROOMS)))
def test_a_room_that_is_named_is_there(room: str) -> None:
    assert (ROOT / room).exists()


def test_the_keys_that_are_said_to_take_effect_at_once_are_the_live_ones() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = page.partition("these take effect at once:")[2].partition("\n\nA listener moves")[0]
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", listed)}
    assert named - {"OFF"} == {key.rpartition(".")[2] for key in live_keys(Settings())}


THREATS = re.findall(
    r"^\| (?!threat |---)([^|]+) \| [^|]*\| ?([^|]*)\|$",
    (ROOT / "docs" / "security.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_threat_names_tests_and_each_of_them_is_there() -> None:
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    define = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
    known = {name for text in texts for name in define.findall(text)}
    named = {threat: re.findall(r"`(\w+)`", tests) for threat, tests in THREATS}
    assert {name for names in named.values() for name in names} - known == set()
    assert not {threat for threat, names in named.items() if not names}
