"""Keeps logins in `logins.json` beside `config.json`, as other secrets are kept.

Each login and each registration is a secret of its own in that file (see `secret_store`): encrypted
where there is a key, else readable for its owner alone.

Invariants:

- The name of a login is a digest of the instance, its URL, the issuer and the client that the entry
  names, and the person: a login is not found for anything else than it was made for.
- While one process renews a login, no other one does: it holds the lock of that login. The lock of
  the folder is held only while the file is written.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, lock_within
from router.messages.errors import ConfigError
from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol.clients import Client
from router.oauth.client.protocol.discovery import (
    AuthorizationServer,  # noqa: TC001 - looked up in annotations
)
from router.oauth.client.protocol.untrusted import canonical
from router.secret_store.store import MissingSecret, SecretStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec
    from router.oauth.client.protocol.token_endpoint import Tokens

_log = logging.getLogger("mcp_router.login")

LOGINS_FILE_NAME: Final = "logins.json"

_ANEW: Final = f"remove {LOGINS_FILE_NAME} and log in anew"

_LOGIN: Final = "login_"
_CLIENT: Final = "client_"
_ISSUER: Final = "issuer_"

MOST_CLIENTS: Final = 64
"""Registrations that are kept: each redirect URI takes one, and those of commands have a new port
each time. One that is forgotten is made anew."""

KEPT_UNUSED_S: Final = 30 * 24 * 3600.0
"""The time for which the login of an instance that is gone is kept: it may come back."""

_LOCKS: Final = 16
"""Files of locks; two logins that share one wait for each other, which is rare and short."""

_LOCK_TRY_S: Final = 0.25
"""The time for which a thread waits for a lock, so that a cancelled task need not wait longer."""

_LOCK_PATIENCE_S: Final = 20.0
"""Longer than a request and a write of another process take."""

_Value = TypeVar("_Value", bound=Struct)


class SavedLogin(Struct, frozen=True):
    """A login as it is kept.

    Attributes:
        instance: its name.
        person: whose it is; None for everybody's.
        resource: the identifier for which the tokens are.
        server: that issued the tokens.
        client: as which they were issued.
        access_token, refresh_token: the latter "" for none.
        scopes: that the tokens have, as far as is known.
        since_s: Unix time of the login.
        obtained_at_s: Unix time at which the access token was issued.
        expires_at_s: Unix time at which the access token expires; None if that is not known.
        unused_since_s: Unix time of the first start without its instance; None while it is there.
    """

    instance: str
    person: str | None
    resource: str
    server: AuthorizationServer
    client: Client
    access_token: str
    refresh_token: str = ""
    scopes: tuple[str, ...] = ()
    since_s: float = 0
    obtained_at_s: float = 0
    expires_at_s: float | None = None
    unused_since_s: float | None = None

    def renewed(self, tokens: Tokens, now_s: float) -> SavedLogin:
        """Return the login with new tokens.

        A server that sends no new refresh token, or no scopes, means those from before (RFC 6749
        section 6).
        """
        lifetime_s = tokens.lifetime_s
        return replace(
            self,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or self.refresh_token,
            scopes=self.scopes if tokens.scopes is None else tokens.scopes,
            obtained_at_s=now_s,
            expires_at_s=None if lifetime_s is None else now_s + lifetime_s,
            unused_since_s=None,
        )

    def __repr__(self) -> str:
        return f"SavedLogin(instance={self.instance!r}, issuer={self.server.issuer!r})"


class StoreFailed(LoginFailed):
    """The file cannot be read or written."""


def login_key(spec: InstanceSpec, person: str | None) -> str:
    """Return the name of a login in the file."""
    login = spec.oauth
    chosen = (login.issuer, login.client_id) if login else ("", "")
    return _LOGIN + _digest(spec.name, canonical(spec.url), *chosen, person)


def client_key(issuer: str, redirect_uri: str) -> str:
    """Return the name of a registration in the file."""
    return _CLIENT + _digest(issuer, redirect_uri)


def configured_client_key(spec: InstanceSpec, client_id: str) -> str:
    """Return the name under which the issuer is kept that a client of an entry belongs to."""
    return _ISSUER + _digest(spec.name, canonical(spec.url), client_id)


def _digest(*parts: str | None) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:40]


class LoginStore:
    """The file of one router. All methods work in a thread, so they do not hold up the loop."""

    def __init__(self, config: Path) -> None:
        """Take the path of `config.json`; nothing is read yet."""
        self._path = config.with_name(LOGINS_FILE_NAME)
        self._secrets = SecretStore(self._path, os.environ, without_key=_ANEW)

    async def load(self) -> dict[str, SavedLogin]:
        """Return all logins by their names.

        Raises:
            StoreFailed: the file cannot be read.
        """
        return await _in_thread(self._load)

    def _load(self) -> dict[str, SavedLogin]:
        found: dict[str, SavedLogin] = {}
        for name, text in self._secrets.get_all(_LOGIN).items():
            login = _decoded(text, SavedLogin)
            if login is not None:
                found[name] = login
        return found

    async def read(self, key: str) -> SavedLogin | None:
        """Return a login as it is on disk now; None if there is none.

        Raises:
            StoreFailed: the file cannot be read.
        """
        return await _in_thread(self._read, key, SavedLogin)

    async def read_client(self, key: str) -> Client | None:
        """Return a registration; see `read`."""
        return await _in_thread(self._read, key, Client)

    def _read(self, key: str, kind: type[_Value]) -> _Value | None:
        try:
            return _decoded(self._secrets.get(key), kind)
        except MissingSecret:
            return None

    async def write(self, key: str, value: SavedLogin | Client) -> None:
        """Keep a login or a registration; it is on disk when this returns.

        Raises:
            StoreFailed: the file could not be written.
        """
        await _in_thread(self._write, key, value)

    async def write_client(self, key: str, client: Client) -> None:
        """Keep a registration; of more than `MOST_CLIENTS`, some are forgotten. See `write`."""
        await _in_thread(self._make_room)
        await _in_thread(self._write, key, client)

    def _write(self, key: str, value: SavedLogin | Client) -> None:
        self._secrets.set(key, msgspec.json.encode(value).decode())

    def _make_room(self) -> None:
        clients = [name for name in self._secrets.names() if name.startswith(_CLIENT)]
        self._remove(tuple(clients[: max(len(clients) - MOST_CLIENTS + 1, 0)]))

    async def tidy(
        self, used: Mapping[str, SavedLogin], unused: Mapping[str, SavedLogin], now_s: float
    ) -> None:
        """Drop logins whose instance has been gone for `KEPT_UNUSED_S`, and note since when it is.

        Args:
            used: the logins of instances that are there, by name.
            unused: all others.
            now_s: Unix time.

        Raises:
            StoreFailed: the file cannot be read or written.
        """
        await trio.lowlevel.checkpoint()
        for key, login in used.items():
            if login.unused_since_s is not None:
                await self._note_unused(key, None)
        for key, login in unused.items():
            if login.unused_since_s is None:
                await self._note_unused(key, now_s)
            elif now_s - login.unused_since_s >= KEPT_UNUSED_S:
                await self.remove([key])

    async def _note_unused(self, key: str, since_s: float | None) -> None:
        async with self.hold(key):  # a renewal must not be overwritten
            login = await self.read(key)
            if login is not None:
                await self.write(key, replace(login, unused_since_s=since_s))

    async def remove(self, keys: Iterable[str]) -> None:
        """Remove logins or registrations, those that are there.

        Raises:
            StoreFailed: the file could not be written.
        """
        await _in_thread(self._remove, tuple(keys))

    def _remove(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            try:
                self._secrets.remove(key)
            except MissingSecret:
                continue

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        """Hold the lock of a login, which no other process then holds.

        Raises:
            StoreFailed: another process holds it for too long, or there can be no lock.
        """
        fd = await _in_thread(self._open_lock, int(key[-2:], 16) % _LOCKS)
        try:
            ends_at_s = trio.current_time() + _LOCK_PATIENCE_S
            while not await _in_thread(lock_within, fd, _LOCK_TRY_S):
                if trio.current_time() >= ends_at_s:
                    raise StoreFailed("another process renews this login and does not end")
            yield
        finally:
            os.close(fd)  # which gives the lock back

    def _open_lock(self, number: int) -> int:
        self._path.parent.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
        with SafeFolder.open(self._path.parent) as folder:
            return folder.open_lock_file(f".{LOGINS_FILE_NAME}.{number}.lock")


def _decoded(text: str, kind: type[_Value]) -> _Value | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        # Of another version of the program: a new login replaces it.
        _log.warning("a login in %s cannot be understood, and is left out", LOGINS_FILE_NAME)
        return None


_Result = TypeVar("_Result")


async def _in_thread(work: Callable[..., _Result], *args: object) -> _Result:
    try:
        return await trio.to_thread.run_sync(work, *args)
    except ConfigError as exc:
        raise StoreFailed(f"logins cannot be kept: {exc}") from None
    except OSError as exc:
        problem = f"{LOGINS_FILE_NAME} cannot be used: {exc.strerror or exc}"
        raise StoreFailed(problem) from None
