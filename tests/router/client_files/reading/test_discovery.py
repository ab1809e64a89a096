from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs
import pytest

from router.client_files.clients.table import CLIENTS, client_named, files_of
from router.client_files.reading.discovery import read_clients, read_file
from tests.router.client_files.shapes import OPENCODE_2, SHAPES, Shape, machine_at

if TYPE_CHECKING:
    from pathlib import Path

    from router.client_files.reading.discovery import ReadFile

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def read_shape(shape: Shape, tmp_path: Path) -> ReadFile:
    machine = machine_at(tmp_path)
    shape.put(machine)
    [file] = read_clients([client_named(shape.client)], machine)
    return file


@pytest.mark.parametrize("shape", [*SHAPES, OPENCODE_2], ids=lambda shape: shape.client)
def test_equal_servers_of_all_clients_are_equal_here(shape: Shape, tmp_path: Path) -> None:
    file = read_shape(shape, tmp_path)
    assert file.problem is None
    assert {server.name: server.entry for server in file.servers} == shape.entries
    for server in file.servers:
        assert list(server.entry) == list(shape.entries[server.name])
        assert (server.client, server.scope, server.problem) == (shape.client, "user", None)


def test_there_is_a_shape_for_each_client() -> None:
    assert [shape.client for shape in SHAPES] == [client.name for client in CLIENTS]


def test_all_files_of_all_clients_are_found_at_once(tmp_path: Path) -> None:
    machine = machine_at(tmp_path)
    paths = [shape.put(machine) for shape in SHAPES]
    project = machine.cwd / ".mcp.json"
    project.write_text('{"mcpServers": {"db": {"command": "db-server"}}}')
    files = read_clients(CLIENTS, machine)
    assert {file.path for file in files} == {*paths, project}
    [server] = next(file.servers for file in files if file.path == project)
    assert (server.client, server.scope, server.place) == (
        "claude-code",
        "project",
        "mcpServers.db",
    )


def test_file_of_the_user_is_no_project_file_in_the_home_folder(tmp_path: Path) -> None:
    machine = machine_at(tmp_path)
    path = SHAPES[2].put(machine)
    machine = attrs.evolve(machine, cwd=machine.home)
    for file in (*read_clients([client_named("cursor")], machine), read_file(path, machine)):
        assert [server.scope for server in file.servers] == ["user"] * len(SHAPES[2].entries)


def test_file_without_a_table_of_servers_has_none(tmp_path: Path) -> None:
    for data in (b"", b"\n", b"{}", b'{"theme": "dark"}', b'{"context_servers": null}'):
        file = read_shape(Shape("zed", data), tmp_path)
        assert (file.servers, file.problem) == ((), None)


@pytest.mark.parametrize(
    ("client", "data", "problem"),
    [
        ("cursor", b'{"mcpServers": {', "line 1, column 17"),
        ("cursor", b"[]", "expected an object, got an array"),
        ("cursor", b'{"mcpServers": []}', "mcpServers: expected an object, got an array"),
        ("cursor", b'{"mcpServers": "\xff"}', "is not UTF-8"),
        ("codex", b"[mcp_servers.x\n", "invalid TOML"),
        ("codex", b"\xff", "is not UTF-8"),
        ("codex", b'mcp_servers = "x"', "mcp_servers: expected an object, got a string"),
    ],
)
def test_broken_file_has_a_problem_and_no_servers(
    client: str, data: bytes, problem: str, tmp_path: Path
) -> None:
    file = read_shape(Shape(client, data), tmp_path)
    assert file.servers == ()
    assert file.problem is not None
    assert problem in file.problem


def test_broken_file_does_not_affect_those_of_other_clients(tmp_path: Path) -> None:
    machine = machine_at(tmp_path)
    Shape("cursor", b"{").put(machine)
    SHAPES[-1].put(machine)
    broken, whole = read_clients([client_named("cursor"), client_named("lm-studio")], machine)
    assert broken.problem
    assert len(whole.servers) == 2


@posix_only
def test_file_behind_a_link_is_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    machine = machine_at(tmp_path)
    path = SHAPES[0].put(machine)
    link = files_of(client_named("cursor"), machine)[0].path
    link.parent.mkdir()
    link.symlink_to(path)
    [file] = read_clients([client_named("cursor")], machine)
    assert [server.name for server in file.servers] == ["files"]
    link.unlink()
    os.mkfifo(link)
    [file] = read_clients([client_named("cursor")], machine)
    assert file.problem == "cannot be read: it is no regular file"


def test_servers_of_all_projects_of_claude_code_are_found(tmp_path: Path) -> None:
    data = b"""{"projects": {
        "/code/a": {"mcpServers": {"db": {"command": "./db", "args": ["x"]}}},
        "/code/b": {"mcpServers": {"web": {"type": "sse", "url": "https://b.example/sse"}}},
        "/code/c": {"history": []}
    }}"""
    first, second = read_shape(Shape("claude-code", data), tmp_path).servers
    assert (first.scope, first.place) == ("project", 'projects."/code/a".mcpServers.db')
    assert first.entry == {"command": "./db", "args": ["x"], "cwd": "/code/a"}
    assert second.entry == {"type": "sse", "url": "https://b.example/sse"}


def test_defaults_of_inputs_are_taken_but_for_those_of_passwords(tmp_path: Path) -> None:
    data = b"""{
        "inputs": [
            {"id": "region", "type": "promptString", "default": "eu"},
            {"id": "token", "type": "promptString", "default": "x", "password": true},
            {"id": "size", "type": "pickString", "default": 3}, "nonsense",
        ],
        "servers": {"db": {"command": "x", "args": ["${input:region}", "${input:token}"]}},
    }"""
    [server] = read_shape(Shape("vscode", data), tmp_path).servers
    assert (server.entry["args"], server.needs) == (["eu", "${secret:token}"], ("token",))


def test_opencode_server_that_is_called_servers_is_one_of_version_1(tmp_path: Path) -> None:
    data = b'{"mcp": {"servers": {"type": "local", "command": ["x"]}}}'
    [server] = read_shape(Shape("opencode", data), tmp_path).servers
    assert (server.name, server.entry) == ("servers", {"command": "x"})


# --- Files that a person names ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"mcpServers": {"db": {"command": "x"}}}'),
        ("a.json", '{"servers": {"db": {"type": "stdio", "command": "x",}, /* last */}}'),
        ("a.json", '{"context_servers": {"db": {"command": {"path": "x", "args": []}}}}'),
        ("a.json", '{"mcp": {"servers": {"db": {"command": "x"}}}}'),
        ("a.json", '{"mcp": {"db": {"type": "local", "command": ["x"]}}}'),
        ("a.json", '{"projects": {"/p": {"mcpServers": {"db": {"command": "x"}}}}}'),
        ("a.toml", '[mcp_servers.db]\ncommand = "x"'),
        ("a.json", '{"name": "db", "command": "x"}'),
        ("db/mcp_settings.json", '{"command": "x"}'),
    ],
)
def test_file_of_any_format_is_read(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    [server] = read_file(path, machine_at(tmp_path)).servers
    assert (server.name, server.entry, server.problem) == ("db", {"command": "x"}, None)


def test_file_of_another_project_is_read_as_that_of_its_client(tmp_path: Path) -> None:
    path = tmp_path / "other" / ".gemini" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        '{"mcpServers": {"x": {"url": "https://x.example", "timeout": 5000}, "y": '
        '{"command": "./y"}}}'
    )
    file = read_file(path, machine_at(tmp_path))
    assert file.title == "Gemini CLI"
    assert [server.entry for server in file.servers] == [
        {"type": "sse", "url": "https://x.example", "timeout": 5},
        {"command": "./y", "cwd": str(tmp_path / "other")},
    ]


def test_files_of_claude_code_are_recognised_anywhere(tmp_path: Path) -> None:
    machine, other = machine_at(tmp_path), tmp_path / "other"
    other.mkdir()
    (other / ".mcp.json").write_text('{"mcpServers": {"db": {"command": "./db"}}}')
    [server] = read_file(other / ".mcp.json", machine).servers
    assert (server.client, server.entry["cwd"]) == ("claude-code", str(other))
    backup = next(shape for shape in SHAPES if shape.client == "claude-code")
    (other / ".claude.json").write_bytes(backup.data)
    assert {server.name for server in read_file(other / ".claude.json", machine).servers} == {
        "files",
        "docs",
    }


def test_file_of_the_user_is_that_of_its_client(tmp_path: Path) -> None:
    machine = machine_at(tmp_path)
    shape = next(shape for shape in SHAPES if shape.client == "codex")
    file = read_file(shape.put(machine), machine)
    assert file.title == "Codex"
    assert {server.name: server.entry for server in file.servers} == shape.entries
    project = machine.cwd / ".cursor" / "mcp.json"
    project.parent.mkdir()
    project.write_text('{"mcpServers": {"db": {"command": "./db"}}}')
    [server] = read_file(project, machine).servers
    assert server.entry["cwd"] == str(machine.cwd)


def test_file_without_any_servers_says_what_was_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"theme": "dark"}')
    problem = read_file(path, machine_at(tmp_path)).problem
    assert problem is not None
    assert problem.startswith("there are no servers in it; expected one of mcpServers, servers, ")


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_file(tmp_path / "a.json", machine_at(tmp_path))
