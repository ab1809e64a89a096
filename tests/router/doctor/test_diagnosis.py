"""All facts of one router, gathered and judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.config.options import Options, Paths
from router.doctor import diagnosis
from router.doctor.diagnosis import diagnose, gather
from router.doctor.facts import InstanceState, Running, Surroundings
from tests.router.doctor.made_facts import facts, spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The paths of a router on a machine of which nothing else is known."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(diagnosis, "find_routers", lambda: ())
    monkeypatch.setattr(diagnosis, "find_owners", lambda _: ())
    beside = tmp_path / "router"
    beside.mkdir(mode=0o700)
    return Paths(beside / "config.json", beside / "data", beside / "logs", beside / "cache")


def found(paths: Paths, *problems: str) -> list[tuple[str, str, str]]:
    environ = {"PATH": "/usr/bin:/bin"}
    facts = gather(paths, Options(), environ, Running("u", "2.0.0"), problems, ())
    before = sorted(paths.config.parent.rglob("*"))
    findings = diagnose(facts)
    assert sorted(paths.config.parent.rglob("*")) == before
    return [(one.severity, one.topic, one.subject) for one in findings]


def test_router_with_nothing_wrong_has_only_the_note_of_clients(paths: Paths) -> None:
    paths.config.write_text("{}")
    assert found(paths) == [("note", "clients", "clients")]


def test_broken_config_does_not_keep_the_rest_from_being_looked_at(paths: Paths) -> None:
    paths.config.write_text("{")
    (paths.data / "p").mkdir(parents=True)
    entry = {"command": "no-such-command-here"}
    (paths.data / "p" / "mcp_settings.json").write_text(json.dumps(entry))
    paths.secrets.write_text("{}")
    paths.secrets.chmod(0o600)
    assert found(paths, "config.json: invalid JSON") == [
        ("error", "files", "config.json"),
        ("error", "files", str(paths.secrets)),
        ("error", "commands", "p"),
        ("note", "clients", "clients"),
    ]


def test_file_of_approved_tools_is_looked_at_where_tools_are_pinned(paths: Paths) -> None:
    paths.pins.write_text("{")
    paths.config.write_text("{}")
    assert ("error", "files", "pins.json") not in found(paths)
    paths.config.write_text('{"security": {"pinning": "warn"}}')
    assert found(paths)[0] == ("error", "files", "pins.json")
    paths.pins.unlink()
    assert found(paths) == [("note", "clients", "clients")]


def test_token_that_cannot_be_resolved_is_judged_as_it_is_written(paths: Paths) -> None:
    paths.config.write_text('{"security": {"bearer_token": "${secret:NONE}"}}')
    assert found(paths) == [("note", "clients", "clients")]


def test_reason_that_is_a_finding_of_its_own_is_not_told_twice() -> None:
    problem = "data/p/mcp_settings.json: env.A: ${A} is not set"
    states = (
        InstanceState("a", "failed", problem),
        InstanceState("b", "failed", "command not found: 'no-such-command-here'; install it"),
        InstanceState("c", "failed", "exited with status 1"),
    )
    specs = (spec("b", command="no-such-command-here"), spec("c", command="no-such-command-here"))
    known = facts(
        problems=(problem,),
        specs=specs,
        surroundings=(Surroundings("this shell", "/usr/bin"),),
        running=Running("u", "2.0.0", states),
    )
    told = [(one.topic, one.subject) for one in diagnose(known) if one.severity == "error"]
    assert told == [
        ("files", "data/p/mcp_settings.json: env.A"),
        ("commands", "b"),
        ("commands", "c"),
        ("instances", "c"),
    ]


def test_no_finding_shows_what_an_entry_refers_to(paths: Paths) -> None:
    paths.config.write_text("{}")
    (paths.data / "p").mkdir(parents=True)
    entry = {"command": "/none/${HIDDEN}", "args": []}
    (paths.data / "p" / "mcp_settings.json").write_text(json.dumps(entry))
    environ = {"PATH": "/usr/bin:/bin", "HIDDEN": "a-secret-value"}
    found = diagnose(gather(paths, Options(), environ, Running("u", "2.0.0"), (), ()))
    assert [one.problem for one in found if one.topic == "commands"] == [
        "there is no file /none/***"
    ]
