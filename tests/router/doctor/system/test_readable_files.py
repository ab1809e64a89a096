"""Files that others may read, on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.config.options import Paths
from router.config.settings import Settings
from router.doctor.facts import ReadableFile
from router.doctor.system import readable_files
from router.doctor.system.readable_files import find_readable, others_may_read
from tests.router.doctor.made_facts import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may enter, with all that leads to it."""
    modes = {folder: folder.stat().st_mode for folder in tmp_path.parents if folder.name}
    for folder, mode in modes.items():
        if not mode & 0o001:
            folder.chmod(0o711)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    tmp_path.chmod(0o755)
    yield tmp_path / "open"
    for folder, mode in modes.items():
        if not mode & 0o001:
            folder.chmod(mode & 0o7777)


def put(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o755)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_modes_of_the_file_and_of_all_its_folders_count(home: Path) -> None:
    file = put(home / "a" / "file", "")
    assert others_may_read(file)
    file.chmod(0o600)
    assert not others_may_read(file)
    file.chmod(0o644)
    (home / "a").chmod(0o700)
    assert not others_may_read(file)
    assert not others_may_read(home / "none")


def test_group_counts_unless_it_is_the_owners_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put(home / "a" / "file", "", 0o640)
    monkeypatch.setattr(readable_files, "_is_private_group", lambda _: True)
    assert not others_may_read(file)
    monkeypatch.setattr(readable_files, "_is_private_group", lambda _: False)
    assert others_may_read(file)


def test_literal_secrets_are_found_in_the_files_of_the_router(home: Path) -> None:
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
    log = put(paths.logs / "http.log.1", "")
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
