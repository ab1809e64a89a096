"""Keys of an entry that are probably misspelled: shown, while the entry works."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.instance_files.reading import COMMAND, read


def warnings(entry: dict[str, Any]) -> list[str]:
    spec = read({**COMMAND, **entry})
    assert spec.problem is None
    return [text.removeprefix("data/github/mcp_settings.json: ") for text in spec.warnings]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("idle_stop", "idle_stop_s"),
        ("max_inflight", "max_in_flight"),
        ("maxInFlight", "max_in_flight"),
        ("replica", "replicas"),
        ("arg", "args"),
        ("envs", "env"),
        ("tool", "tools"),
        ("timeoutMs", "timeout"),
        ("catalog_cache", "catalogue_cache"),
        ("is_active", "isActive"),
        ("enabled", "isActive"),
        ("startup_timeout_sec", "start_timeout_s"),
    ],
)
def test_key_like_a_known_one_is_a_warning(written: str, meant: str) -> None:
    assert warnings({written: 1}) == [
        f'mcpServers.github.{written}: unknown key, which does nothing; did you mean "{meant}"?'
    ]


@pytest.mark.parametrize(
    "key", ["description", "icon", "dev", "trust", "auth", "gallery", "$schema", "roots", "ENVS2"]
)
def test_key_of_another_program_is_none(key: str) -> None:
    assert warnings({key: 1, "alwaysAllow": [], "envFile": None}) == []


def test_key_beside_the_one_that_it_is_like_is_none() -> None:
    assert warnings({"arg": 1, "args": []}) == []


def test_key_cannot_forge_a_line() -> None:
    (warning,) = warnings({"replica\n": 1})
    assert "\n" not in warning


def test_a_warning_restarts_nothing() -> None:
    assert read(COMMAND).starts_like(read({**COMMAND, "idle_stop": 5}))
