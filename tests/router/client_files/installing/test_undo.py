"""`undo`: what was put in is taken out, what somebody has changed is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from router.files.jsonc.document import parse_jsonc
from router.messages.errors import ConfigError
from tests.router.client_files.installing.bench import ROUTER
from tests.router.client_files.shapes import SHAPES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.client_files.installing.bench import Bench

SHAPE = SHAPES[2]


@pytest.fixture
def path(bench: Bench) -> Path:
    return SHAPE.put(bench.machine)


def test_several_installs_are_undone_together(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    bench.install("cursor", replace(ROUTER, url="http://127.0.0.1:3000/mcp/work"))
    bench.install("cursor", replace(ROUTER, is_standalone=True))

    bench.uninstall("cursor")

    assert path.read_bytes() == SHAPE.data


def test_changes_of_others_between_two_installs_stay(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    path.write_bytes(path.read_bytes().replace(b'"debug"', b'"info"'))
    bench.install("cursor", replace(ROUTER, is_standalone=True))

    bench.uninstall("cursor")

    assert path.read_bytes() == SHAPE.data.replace(b'"debug"', b'"info"')


def test_an_entry_that_was_changed_is_left_alone_and_named(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    changed = path.read_bytes().replace(b"/mcp", b"/mcp/mine")
    path.write_bytes(changed)

    with pytest.raises(ConfigError, match=r"mcpServers\.mcp-router was changed after it was put"):
        bench.uninstall("cursor")

    assert path.read_bytes() == changed
    assert len(bench.ledger.rows()) == 1


def test_an_entry_that_the_client_wrote_anew_is_still_ours(bench: Bench, path: Path) -> None:
    path.write_bytes(b'{"mcpServers": {}, "x": 1}')
    bench.install("cursor", replace(ROUTER, is_standalone=True))
    value = parse_jsonc(path.read_bytes(), "mcp.json").value["mcpServers"]["mcp-router"]
    entry = f'{{"args": {value["args"]}, "command": "{value["command"]}"}}'.replace("'", '"')
    path.write_bytes(f'{{"x":2,"mcpServers":{{"mcp-router":{entry}}}}}'.encode())

    bench.uninstall("cursor")

    assert path.read_bytes() == b'{"x":2,"mcpServers":{}}'


def test_an_entry_that_is_gone_needs_no_undo(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    path.write_bytes(b'{"other": 1}')

    assert bench.uninstall("cursor").is_nothing

    assert path.read_bytes() == b'{"other": 1}'
    assert bench.ledger.rows() == []


def test_a_file_that_is_gone_needs_no_undo(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    path.unlink()

    assert bench.uninstall("cursor").is_nothing
    assert not path.exists()


def test_an_older_entry_of_the_same_name_comes_back(bench: Bench, path: Path) -> None:
    older = b'{"mcpServers": {"mcp-router": {"url": "http://127.0.0.1:9/mcp"}}}'
    path.write_bytes(older)
    bench.install("cursor")
    path.write_bytes(path.read_bytes() + b"\n")

    bench.uninstall("cursor")

    assert path.read_bytes() == older + b"\n"


def test_a_moved_server_that_somebody_put_back_differently_is_left_alone(
    bench: Bench, path: Path
) -> None:
    bench.install("cursor", moved=["docs"])
    changed = path.read_bytes().replace(b'"mcpServers": {', b'"mcpServers": {"docs": {},')
    path.write_bytes(changed)

    with pytest.raises(ConfigError, match=r"mcpServers\.docs is there again, but not as it was"):
        bench.uninstall("cursor")
    assert path.read_bytes() == changed


def test_an_undo_by_hand_makes_later_rows_void(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    bench.install("cursor", replace(ROUTER, is_standalone=True))
    path.write_bytes(SHAPE.data)

    bench.install("cursor")

    assert len(bench.ledger.rows()) == 1
    bench.uninstall("cursor")
    assert path.read_bytes() == SHAPE.data


def test_backups_go_with_an_exact_undo_and_stay_after_another(bench: Bench, path: Path) -> None:
    backups = bench.ledger.folder / "backups"
    bench.install("cursor")
    bench.install("cursor", replace(ROUTER, is_standalone=True))
    bench.uninstall("cursor")
    assert list(backups.iterdir()) == []

    bench.install("cursor")
    path.write_bytes(path.read_bytes() + b"\n")
    bench.uninstall("cursor")
    assert len(list(backups.iterdir())) == 1


@pytest.mark.parametrize("damage", [None, b"something else"])
def test_without_its_backup_the_entry_alone_is_taken_out(
    bench: Bench, path: Path, damage: bytes | None
) -> None:
    bench.install("cursor")
    (backup,) = (bench.ledger.folder / "backups").iterdir()
    if damage is None:
        backup.unlink()
    else:
        backup.write_bytes(damage)

    bench.uninstall("cursor")

    assert path.read_bytes() == SHAPE.data


def test_the_input_of_vs_code_goes_with_the_entry(bench: Bench) -> None:
    path = next(shape for shape in SHAPES if shape.client == "vscode").put(bench.machine)
    before = path.read_bytes()
    bench.install("vscode", replace(ROUTER, has_token=True))
    assert b"${input:mcp-router-token}" in path.read_bytes()
    assert bench.install("vscode", replace(ROUTER, has_token=True)).is_nothing
    path.write_bytes(path.read_bytes() + b"// mine\n")

    bench.uninstall("vscode")

    assert path.read_bytes() == before + b"// mine\n"


def test_what_was_made_for_the_entry_goes_unless_somebody_uses_it(bench: Bench, path: Path) -> None:
    path.write_bytes(b'{"x": 1}')
    bench.install("cursor")
    path.write_bytes(path.read_bytes() + b"\n")
    bench.uninstall("cursor")
    assert path.read_bytes() == b'{"x": 1}\n'

    bench.install("cursor")
    path.write_bytes(path.read_bytes().replace(b'"mcpServers": {', b'"mcpServers": {"a": {}, '))
    bench.uninstall("cursor")
    assert path.read_bytes() == b'{"x": 1, "mcpServers": {"a": {}}}\n'


def test_a_file_that_does_not_parse_any_more_is_left_alone(bench: Bench, path: Path) -> None:
    bench.install("cursor")
    path.write_bytes(b"{")

    with pytest.raises(ConfigError, match="ends too early"):
        bench.uninstall("cursor")
    assert path.read_bytes() == b"{"
