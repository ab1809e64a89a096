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
