"""`docs/architecture.md` names files and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

HOPS = re.findall(r"^\| \d+ \| `([\w/.]+)`: `(\w+)` \|", PAGE, re.MULTILINE)
ROOMS = re.findall(r"`((?:router|transports|supervisors)(?:/\w+)+(?:\.py)?)`", PAGE)


@pytest.mark.parametrize(("file", "name"), HOPS)
def test_a_hop_of_the_walk_through_one_call_is_there(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert re.search(rf"^ *(?:async )?(?:def|class) {name}\b", source, re.MULTILINE)


def test_the_walk_has_all_its_hops() -> None:
    assert len(HOPS) == 16


@pytest.mark.parametrize("room", sorted(set(ROOMS)))
def test_a_room_that_is_named_is_there(room: str) -> None:
    assert (ROOT / room).exists()
