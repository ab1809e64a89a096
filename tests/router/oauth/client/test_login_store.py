"""Logins on disk."""

from __future__ import annotations

import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from router.oauth.client.login_store import (
    KEPT_UNUSED_S,
    MOST_CLIENTS,
    LoginStore,
    SavedLogin,
    StoreFailed,
    client_key,
    configured_client_key,
    login_key,
)
from router.oauth.client.protocol.clients import Client
from router.oauth.client.protocol.discovery import AuthorizationServer
from tests.router.oauth.client.world import ISSUER, URL, spec

if TYPE_CHECKING:
    from pathlib import Path

KEY = login_key(spec(), None)
LOGIN = SavedLogin(
    "notes", None, URL, AuthorizationServer(ISSUER), Client("c"), "the-access", "the-refresh"
)


async def test_logins_are_encrypted_where_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mcp-router-secrets-key").write_text("0123456789abcdef" * 4)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    store = LoginStore(tmp_path / "config.json")
    assert await store.load() == {}
    await store.write(KEY, LOGIN)
    path = tmp_path / "logins.json"
    text = path.read_text()
    assert not any(word in text for word in ("the-access", "the-refresh", "notes", ISSUER))
    assert await LoginStore(tmp_path / "config.json").load() == {KEY: LOGIN}
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    way_out = "mcp-router-secrets-key.*, or remove logins.json and log in anew$"
    with pytest.raises(StoreFailed, match=way_out):
        await LoginStore(tmp_path / "config.json").load()


async def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    store = LoginStore(tmp_path / "config.json")
    await store.remove([KEY])
    await store.write(KEY, LOGIN)
    await store.write("client_x", Client("c"))
    await store.remove([KEY, "login_nobody"])
    assert await store.load() == {}
    assert await store.read(KEY) is None
    assert await store.read_client("client_x") == Client("c")


async def test_registrations_are_bounded_and_push_no_login_and_no_issuer_out(
    tmp_path: Path,
) -> None:
    store = LoginStore(tmp_path / "config.json")
    issuer = configured_client_key(spec(), "c")
    await store.write(KEY, LOGIN)
    await store.write(issuer, Client("c", issuer=ISSUER))
    last = ""
    for port in range(MOST_CLIENTS + 3):
        last = client_key(ISSUER, f"http://127.0.0.1:{port}/oauth/callback")
        await store.write_client(last, Client(f"c{port}"))
    names = json.loads((tmp_path / "logins.json").read_text())["secrets"]
    assert len([name for name in names if name.startswith("client_")]) == MOST_CLIENTS
    assert await store.read_client(last) == Client(f"c{MOST_CLIENTS + 2}")
    assert await store.read_client(issuer) == Client("c", issuer=ISSUER)
    assert await store.load() == {KEY: LOGIN}


async def test_login_of_an_instance_that_stays_away_is_dropped(tmp_path: Path) -> None:
    store = LoginStore(tmp_path / "config.json")
    await store.write(KEY, LOGIN)
    await store.tidy({}, await store.load(), 1000)
    await store.tidy({}, await store.load(), 1000 + KEPT_UNUSED_S - 1)
    marked = await store.load()
    assert marked[KEY].unused_since_s == 1000
    await store.tidy(marked, {}, 2000)
    assert await store.load() == {KEY: LOGIN}
    await store.tidy({}, await store.load(), 3000)
    await store.tidy({}, await store.load(), 3000 + KEPT_UNUSED_S)
    assert await store.load() == {}


async def test_second_holder_of_a_lock_waits_and_can_be_cancelled(tmp_path: Path) -> None:
    first, second = (LoginStore(tmp_path / "config.json") for _ in range(2))
    async with first.hold(KEY):
        with trio.move_on_after(0.01) as scope:
            async with second.hold(KEY):
                raise AssertionError
        assert scope.cancelled_caught
    async with second.hold(KEY):
        pass


async def test_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = LoginStore(tmp_path / "file" / "config.json")
    with pytest.raises(StoreFailed, match=r"logins"):
        await store.write(KEY, LOGIN)


def test_no_token_is_in_a_repr() -> None:
    assert "the-" not in repr(LOGIN)
    assert "s3cret" not in repr(Client("c", "s3cret"))
