from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.client_files.importing.carry_out import carry_out
from router.client_files.importing.instances import read_present
from router.client_files.importing.plan import Known, Row, plan_import
from router.client_files.reading.found import FoundServer
from router.messages.commands import AddInstance, UpdateInstance
from router.messages.errors import ConfigError
from tests.router.client_files.importing.fake_secrets import FakeSecrets

if TYPE_CHECKING:
    from collections.abc import Sequence


def servers(*entries: dict[str, Any]) -> list[FoundServer]:
    return [
        FoundServer(f"s{number}", entry, "cursor", Path("/x"))
        for number, entry in enumerate(entries)
    ]


def plan(found: Sequence[FoundServer], data: Path, store: FakeSecrets) -> tuple[Row, ...]:
    return plan_import(found, Known(read_present(data), store.values.get, store.names()))


def entry_in(data: Path, name: str) -> dict[str, Any]:
    return json.loads((data / name / "mcp_settings.json").read_text("utf-8"))


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ENTRIES = (
    {"command": "a", "env": {"A_TOKEN": "hunter2", "B": "${HOME}"}},
    {"url": "https://x.example/mcp", "headers": {"Authorization": "Bearer hunter3"}},
    {"type": "sse", "url": "https://y.example/sse", "timeout": 5},
)


def test_second_import_changes_nothing(tmp_path: Path) -> None:
    data, store = tmp_path / "data", FakeSecrets()
    outcomes = carry_out(plan(servers(*ENTRIES), data, store), data, store)
    assert [(outcome.row.name, outcome.problem, outcome.secrets) for outcome in outcomes] == [
        ("s0", None, ("A_TOKEN",)),
        ("s1", None, ("S1_TOKEN",)),
        ("s2", None, ()),
    ]
    assert entry_in(data, "s0")["env"] == {"A_TOKEN": "${secret:A_TOKEN}", "B": "${HOME}"}
    assert store.values == {"A_TOKEN": "hunter2", "S1_TOKEN": "hunter3"}
    before, secrets = tree(data), dict(store.values)
    rows = plan(servers(*ENTRIES), data, store)
    assert [row.state for row in rows] == ["same", "same", "same"]
    assert carry_out(rows, data, store) == []
    assert (tree(data), store.values) == (before, secrets)


def test_secret_of_two_servers_is_set_once_and_stays_if_the_second_fails(tmp_path: Path) -> None:
    data, store = tmp_path / "data", FakeSecrets()
    (data / "s1").mkdir(parents=True)
    rows = plan(
        servers(*({"command": name, "env": {"A_TOKEN": "hunter2"}} for name in "abc")), data, store
    )
    (data / "s1" / "mcp_settings.json").write_text("{")
    first, second, third = carry_out(rows, data, store)
    assert (first.problem, first.secrets) == (None, ("A_TOKEN",))
    assert second.problem is not None
    assert (third.problem, third.secrets) == (None, ())
    assert store.values == {"A_TOKEN": "hunter2"}


def test_secret_stays_if_another_import_added_the_same_server_meanwhile(tmp_path: Path) -> None:
    data, store = tmp_path / "data", FakeSecrets()
    rows = plan(servers(ENTRIES[0]), data, store)

    class SlowSecrets(FakeSecrets):
        def set(self, name: str, value: str) -> None:
            super().set(name, value)
            carry_out(rows, data, store)

    slow = SlowSecrets(store.values)
    [outcome] = carry_out(rows, data, slow)
    assert outcome.problem is not None
    assert "already exists" in outcome.problem
    assert slow.values == {"A_TOKEN": "hunter2"}


def test_changed_server_replaces_what_differs_and_keeps_the_rest(tmp_path: Path) -> None:
    data, store = tmp_path / "data", FakeSecrets()
    carry_out(plan(servers({"command": "a", "args": ["1"]}), data, store), data, store)
    path = data / "s0" / "mcp_settings.json"
    path.write_text(path.read_text("utf-8").replace('"name"', '"tools": {"deny": ["x"]}, "name"'))
    rows = plan(servers({"url": "https://x.example"}), data, store)
    assert [outcome.problem for outcome in carry_out(rows, data, store)] == [None]
    assert entry_in(data, "s0") == {
        "provider": "s0",
        "tools": {"deny": ["x"]},
        "name": "s0",
        "url": "https://x.example",
    }
    assert plan(servers({"url": "https://x.example"}), data, store)[0].state == "same"


def test_entry_that_cannot_be_written_does_not_keep_the_others_out(tmp_path: Path) -> None:
    data, store = tmp_path / "data", FakeSecrets({"OLD": "old"})
    (data / "s0").mkdir(parents=True)
    (data / "s0" / "mcp_settings.json").write_text("{")
    change = AddInstance("s0", {"name": "s0", "command": "a"})
    broken = Row(
        "new", tuple(servers({"command": "a"})), change=change, secrets={"NEW": "1", "OLD": "2"}
    )
    [_, other] = servers({"command": "a"}, {"command": "b"})
    rows = (broken, *plan([other], tmp_path / "none", store))
    first, second = carry_out(rows, data, store)
    assert first.problem is not None
    assert "s0/mcp_settings.json" in first.problem
    assert second.problem is None
    assert entry_in(data, "s1")["command"] == "b"
    assert store.values == {"OLD": "old"}


def test_after_the_disk_failed_nothing_more_is_tried(tmp_path: Path) -> None:
    class FullDisk(FakeSecrets):
        def set(self, name: str, value: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    data, store = tmp_path / "data", FullDisk()
    rows = plan(servers({"command": "a"}, ENTRIES[0], {"command": "c"}), data, store)
    done, failed, later = carry_out(rows, data, store)
    assert done.problem is None
    assert failed.problem is not None
    assert "No space left" in failed.problem
    assert later.problem is not None
    assert later.problem.startswith("was not tried after that")
    assert [path.name for path in sorted(data.iterdir()) if path.is_dir()] == ["s0"]


def test_secret_that_cannot_be_kept_leaves_no_entry(tmp_path: Path) -> None:
    class Locked(FakeSecrets):
        def set(self, name: str, value: str) -> None:
            raise ConfigError("secrets.json", "the keyring is locked")

    data = tmp_path / "data"
    [outcome] = carry_out(plan(servers(ENTRIES[0]), data, Locked()), data, Locked())
    assert outcome.problem == "secrets.json: the keyring is locked"
    assert not data.exists()


# --- Instances that are there ----------------------------------------------------------------


def test_entries_of_all_forms_are_read_as_found_servers_are(tmp_path: Path) -> None:
    flat, several, broken = (tmp_path / name for name in ("flat", "several", "broken"))
    for folder in (flat, several, broken, tmp_path / "empty"):
        folder.mkdir()
    (flat / "mcp_settings.json").write_text(
        '{"name": "a", "type": "stdio", "command": "x", "args": [], "env": {"A": "${env:B}"}}'
    )
    (several / "mcp_settings.json").write_text(
        '{"mcpServers": {"b c": {"name": "b", "serverUrl": "https://x.example"}, "d e": {}}}'
    )
    (broken / "mcp_settings.json").write_text("{")
    found = read_present(tmp_path)
    assert [(one.name, one.entry) for one in found.instances] == [
        ("a", {"command": "x", "env": {"A": "${B}"}}),
        ("b", {"url": "https://x.example"}),
    ]
    assert found.folders == ("broken", "empty", "flat", "several")
    [problem] = found.problems
    assert "broken/mcp_settings.json" in problem
    assert found.named("B") == found.instances[1]


def test_missing_folder_has_no_instances(tmp_path: Path) -> None:
    assert read_present(tmp_path / "data").instances == ()


@pytest.mark.parametrize("change", [UpdateInstance("s0", {"args": ["${HOME}"]})])
def test_references_are_taken_from_the_user_of_the_machine(
    change: UpdateInstance, tmp_path: Path
) -> None:
    data, store = tmp_path / "data", FakeSecrets()
    carry_out(plan(servers({"command": "a"}), data, store), data, store)
    row = Row("different", tuple(servers({"command": "a"})), change=change)
    assert [outcome.problem for outcome in carry_out([row], data, store)] == [None]
    assert entry_in(data, "s0")["args"] == ["${HOME}"]
