"""Files that others may read, on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.config.options import Paths
from router.config.settings import Settings
from router.doctor.facts import ReadableFile
from router.doctor.system import readable_files
from router.doctor.system.readable_files import (
    allows_others,
    find_readable,
    others_may_read,
)
from tests.router.doctor.made_facts import settings

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "folders", "is_private_group", "allows"),
    [
        (0o644, (0o755, 0o711), True, True),
        (0o604, (0o755, 0o700), True, False),
        (0o600, (0o755,), False, False),
        (0o640, (0o750,), False, True),
        (0o640, (0o705,), False, True),
        (0o640, (0o750,), True, False),
        (0o640, (0o700,), False, False),
    ],
)
def test_modes_of_the_file_and_of_all_its_folders_count(
    mode: int, folders: tuple[int, ...], is_private_group: bool, allows: bool
) -> None:
    assert allows_others(mode, folders, is_private_group=is_private_group) is allows


def test_file_that_is_gone_or_in_a_closed_folder_is_read_by_nobody(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = put(tmp_path / "a" / "file", "")
    assert not others_may_read(file)
    assert not others_may_read(tmp_path / "none")


def test_literal_secrets_are_found_in_the_files_of_the_router(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_mode_alone(path: Path) -> bool:
        return path.exists() and bool(path.stat().st_mode & 0o004)

    monkeypatch.setattr(readable_files, "others_may_read", by_mode_alone)
    home = tmp_path
    paths = Paths(home / "config.json", home / "data", home / "logs", home / "cache")
    written = settings(security={"bearer_token": "literal", "tokens": {"a": {"token": "${T}"}}})
    put(paths.config, "{}")
    entry = {"env": {"API_KEY": "x", "A_TOKEN": "${secret:A}", "B_TOKEN": "$B", "LANG": "C"}}
    headers = {"headers": {"Authorization": "Bearer x", "X-Team": "y", "X-Key": ""}}
    servers = {"mcpServers": {"a": entry, "b": headers, "c": 1}}
    nested = put(paths.data / "p" / "mcp_settings.json", json.dumps(servers))
    flat = put(paths.data / "q" / "mcp_settings.json", json.dumps(entry))
    put(paths.data / "r" / "mcp_settings.json", json.dumps(entry), 0o600)
    broken = put(paths.data / "s" / "mcp_settings.json", "{")
    log = put(paths.logs / "latest-http.txt", "")
    store = put(paths.secrets, "{}")
    assert find_readable(paths, written) == (
        ReadableFile("config", paths.config, ("security.bearer_token",)),
        ReadableFile("secrets", store),
        ReadableFile(
            "instances", nested, ("mcpServers.a.env.API_KEY", "mcpServers.b.headers.Authorization")
        ),
        ReadableFile("instances", flat, ("env.API_KEY",)),
        ReadableFile("instances", broken),
        ReadableFile("log", log),
    )


def test_folders_that_are_not_there_have_no_files(tmp_path: Path) -> None:
    none = tmp_path / "none"
    paths = Paths(none / "config.json", none / "data", none / "logs", none / "cache")
    assert find_readable(paths, Settings()) == ()
