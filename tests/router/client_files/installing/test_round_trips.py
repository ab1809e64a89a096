"""Install and uninstall over files of all clients: nothing else changes, and undo is exact."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from router.client_files.clients.table import CLIENTS, client_named
from router.client_files.formats.documents import parse_document
from router.client_files.installing.entries import ENTRY_NAME, entry_for
from router.client_files.installing.plans import read_target
from router.client_files.reading.discovery import read_clients
from router.files.jsonc.values import find_value
from router.messages.errors import ConfigError
from tests.router.client_files.installing.bench import ROUTER, Bench
from tests.router.client_files.shapes import OPENCODE_2, SHAPES, Shape

if TYPE_CHECKING:
    from pathlib import Path

_ALL = pytest.mark.parametrize("shape", [*SHAPES, OPENCODE_2], ids=lambda shape: shape.client)


def test_there_is_a_shape_for_every_client() -> None:
    assert {shape.client for shape in SHAPES} == {client.name for client in CLIENTS}


def _servers(bench: Bench, client: str) -> dict[str, object]:
    files = read_clients([client_named(client)], bench.machine)
    assert not any(file.problem for file in files)
    return {server.name: server.entry for file in files for server in file.servers}


@_ALL
def test_the_router_is_one_more_server_and_undo_gives_the_same_bytes(
    shape: Shape, bench: Bench
) -> None:
    path = shape.put(bench.machine)
    path.chmod(0o640)
    before = _servers(bench, shape.client)

    bench.install(shape.client)

    after = _servers(bench, shape.client)
    assert list(after) == [*before, ENTRY_NAME]
    assert {name: after[name] for name in before} == before
    _, document, servers_at = read_target(bench.target(shape.client))
    wanted = entry_for(client_named(shape.client), ROUTER).value
    assert find_value(document.value, (*servers_at, ENTRY_NAME)) == wanted
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    installed = path.read_bytes()
    assert bench.install(shape.client).is_nothing
    assert path.read_bytes() == installed

    bench.uninstall(shape.client)
    assert path.read_bytes() == shape.data
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert bench.ledger.rows() == []
    assert not list(path.parent.glob("*.tmp")) + list(path.parent.glob(".*.tmp"))


@_ALL
def test_no_line_is_lost_and_comments_stay(shape: Shape, bench: Bench) -> None:
    path = shape.put(bench.machine)

    bench.install(shape.client)

    rest = iter(path.read_bytes())
    assert all(byte in rest for byte in shape.data)


@_ALL
def test_a_file_that_changed_since_loses_exactly_the_router(shape: Shape, bench: Bench) -> None:
    path = shape.put(bench.machine)
    bench.install(shape.client)
    ending = b"# mine\n" if path.suffix == ".toml" else b"// mine\n"
    path.write_bytes(path.read_bytes() + b"\n" + ending)

    bench.uninstall(shape.client)

    assert path.read_bytes() == shape.data + b"\n" + ending


@_ALL
def test_all_servers_that_are_moved_come_back(shape: Shape, bench: Bench) -> None:
    path = shape.put(bench.machine)
    before = _servers(bench, shape.client)

    bench.install(shape.client, moved=list(before))

    assert list(_servers(bench, shape.client)) == [ENTRY_NAME]
    changed = path.read_bytes() + b"\n"
    bench.uninstall(shape.client)
    assert path.read_bytes() == shape.data

    path.write_bytes(shape.data)
    bench.install(shape.client, moved=list(before))
    path.write_bytes(changed)
    bench.uninstall(shape.client)
    assert _servers(bench, shape.client) == before


@_ALL
def test_a_file_that_does_not_parse_is_refused_and_stays(shape: Shape, bench: Bench) -> None:
    path = shape.put(bench.machine)
    corrupt = shape.data[: shape.data.rindex(b"files")] + b'"{['
    path.write_bytes(corrupt)

    with pytest.raises(ConfigError, match=r"invalid (?:JSON|TOML)"):
        bench.install(shape.client)

    assert path.read_bytes() == corrupt
    assert not bench.ledger.folder.exists()


@pytest.mark.parametrize("client", [client.name for client in CLIENTS])
def test_a_client_without_a_file_gets_one_and_undo_removes_it(client: str, bench: Bench) -> None:
    target = bench.target(client)
    with pytest.raises(ConfigError, match="seems not to be installed: there is no"):
        bench.install(client)
    target.folder.mkdir(parents=True)
    before = sorted(bench.machine.home.rglob("*"))

    bench.install(client)

    data = target.path.read_bytes()
    value = parse_document(target.tables[0].format, data, "new").value
    servers = find_value(value, target.tables[0].servers_at)
    assert servers == {ENTRY_NAME: entry_for(client_named(client), ROUTER).value}
    assert stat.S_IMODE(target.path.stat().st_mode) == 0o600
    assert bench.install(client).is_nothing

    bench.uninstall(client)
    assert sorted(bench.machine.home.rglob("*")) == before


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"{}", b"// none yet\n", b"{\r\n}\r\n"])
def test_an_empty_file_is_filled_and_emptied_again(data: bytes, bench: Bench) -> None:
    path = bench.target("cursor").path
    path.parent.mkdir()
    path.write_bytes(data)

    bench.install("cursor")

    assert list(_servers(bench, "cursor")) == [ENTRY_NAME]
    bench.uninstall("cursor")
    assert path.read_bytes() == data


def test_a_link_stays_a_link_and_its_target_is_changed(bench: Bench, tmp_path: Path) -> None:
    shape = SHAPES[2]
    path = shape.put(bench.machine)
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    real = path.rename(dotfiles / "cursor.json")
    path.symlink_to(real)

    plan = bench.install("cursor")

    assert path.is_symlink()
    assert plan.content.real_path == real
    assert ENTRY_NAME in _servers(bench, "cursor")
    assert os.listdir(path.parent) == [path.name]
    bench.uninstall("cursor")
    assert path.is_symlink()
    assert real.read_bytes() == shape.data


def test_the_backup_is_readable_by_the_user_alone_and_not_beside_the_client(bench: Bench) -> None:
    shape = SHAPES[2]
    path = shape.put(bench.machine)

    bench.install("cursor")

    backups = bench.ledger.folder / "backups"
    (backup,) = backups.iterdir()
    assert backup.name == "20261130T120000.000000Z-cursor-mcp.json"
    assert backup.read_bytes() == shape.data
    for private in (backup, bench.ledger.folder / "installed.json"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    for folder in (backups, bench.ledger.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == [path.name]
