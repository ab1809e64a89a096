"""Every problem of the files, found without a start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from router.cli.local.check import Findings, check
from router.config import code_extra
from router.config.options import Options, Paths
from router.instance_files.catalogue_files import hash_entry, name_file
from router.instance_files.catalogue_folder import CatalogueFolder
from router.instance_files.reader import load_instances
from router.messages.catalog import Catalog, Item, KnownServer

if TYPE_CHECKING:
    from pathlib import Path


LONG = "0123456789abcdef"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    config = tmp_path / "config.json"
    return Paths(config, tmp_path / "data", tmp_path / "logs", tmp_path / "cache")


def configure(paths: Paths, **sections: Any) -> None:
    paths.config.write_text(json.dumps(sections))


def add(paths: Paths, folder: str, text: str) -> None:
    (paths.data / folder).mkdir(parents=True)
    (paths.data / folder / "mcp_settings.json").write_text(text)


def found(paths: Paths, options: Options | None = None) -> Findings:
    before = sorted(paths.config.parent.rglob("*"))
    findings = check(paths, options or Options(), {"SET": "x"})
    assert sorted(paths.config.parent.rglob("*")) == before
    return findings


def test_good_files_have_no_problem(paths: Paths) -> None:
    configure(paths, server={"http": {"port": 0}})
    add(paths, "a", '{"command": "a", "args": ["${SET}"]}')
    add(paths, "b", '{"command": "b", "isActive": false}')
    assert found(paths) == Findings(
        (),
        (),
        f"No problem in {paths.config} and {paths.data}; 2 instances that can be started, "
        "1 of them inactive",
    )


def test_missing_files_are_no_problem_and_are_not_written(paths: Paths) -> None:
    assert found(paths) == Findings(
        (),
        (),
        f"No problem in {paths.data} ({paths.config} is not there: it would have the defaults); "
        "0 instances that can be started",
    )


def test_every_problem_has_its_line_and_path(paths: Paths) -> None:
    configure(paths, api={"port": "x"}, security={"tokens": {"ci": {"token": "s3 cret"}}})
    add(paths, "a", '{"mcpServers": {"x": {"command": "a", "env": {"T": "${UNSET}"}}}}')
    add(paths, "b", '{"command": ')
    add(paths, "c", '{"name": "fine", "command": "c"}')
    add(paths, "d", '{"name": "fine", "command": "d"}')
    add(paths, "e", "[]")
    findings = found(paths)
    assert [problem.partition(" ")[0] for problem in findings.problems] == [
        "config.json:",
        "config.json:",
        "data/b/mcp_settings.json:",
        "data/d/mcp_settings.json:",
        "data/e/mcp_settings.json:",
        "data/a/mcp_settings.json:",
    ]
    assert findings.problems[0] == 'config.json: api.port: expected an integer, got "x"'
    assert "mcpServers.x.env.T: ${UNSET} is not set" in findings.problems[-1]
    assert "s3 cret" not in str(findings)
    assert findings.summary == (
        f"6 problems in {paths.config} and {paths.data}; 1 instance that can be started"
    )


def test_token_that_cannot_be_resolved_is_a_problem(paths: Paths) -> None:
    tokens = {"ci": {"token": "${SET}-0123"}, "b": {"token": "${file:none}"}}
    configure(paths, security={"bearer_token": "${UNSET}", "tokens": tokens})
    assert found(paths).problems == (
        "config.json: security.bearer_token: ${UNSET} is not set",
        "config.json: security.tokens.b.token: ${file:none}: there is no file "
        f"{paths.config.parent}/none",
    )


def test_short_token_on_this_machine_is_a_note(paths: Paths) -> None:
    configure(paths, security={"bearer_token": "abc", "tokens": {"ci": {"token": LONG}}})
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        "Note: config.json: security.bearer_token: is shorter than 16 characters, which is for "
        "this machine alone; behind a reverse proxy use a longer one",
    )


@pytest.mark.parametrize("section", ["server", "api"])
def test_listening_for_others_without_a_token_is_a_problem(paths: Paths, section: str) -> None:
    configure(
        paths, **{section: {"host": "0.0.0.0"} | ({"enabled": True} if section == "api" else {})}
    )
    (problem,) = found(paths).problems
    assert "can be reached from other machines, and no token is set" in problem
    configure(paths, **{section: {"host": "0.0.0.0"}}, security={"bearer_token": LONG})
    assert found(paths).problems == ()


def test_every_host_that_needs_a_token_is_named(paths: Paths) -> None:
    configure(paths, server={"host": "0.0.0.0"}, api={"enabled": True, "host": "0.0.0.0"})
    assert [problem.rpartition(': "')[0] for problem in found(paths).problems] == [
        "config.json: server.host",
        "config.json: api.host",
    ]


def test_each_problem_of_an_entry_has_a_line_of_its_own(paths: Paths) -> None:
    add(paths, "a", '{"mcpServers": {"x": {"command": "${NO}", "args": ["; ", "${NEITHER}"]}}}')
    assert found(paths).problems == (
        "data/a/mcp_settings.json: mcpServers.x.command: ${NO} is not set",
        "data/a/mcp_settings.json: mcpServers.x.args[1]: ${NEITHER} is not set",
    )


def test_folder_of_watch_path_is_looked_at(paths: Paths) -> None:
    configure(paths, watcher={"watch_path": "servers"})
    folder = paths.config.parent / "servers" / "a"
    folder.mkdir(parents=True)
    (folder / "mcp_settings.json").write_text('{"command": "a"}')
    assert found(paths).summary.endswith(
        f"and {paths.config.parent / 'servers'}; 1 instance that can be started"
    )


def test_folder_of_the_command_line_has_to_be_there(paths: Paths) -> None:
    assert found(paths, Options(data="data")).problems == (
        f"--data: there is no folder {paths.data}",
    )


def test_options_of_the_command_line_count(paths: Paths) -> None:
    (problem,) = found(paths, Options(host="0.0.0.0")).problems
    assert "can be reached from other machines" in problem


# --- Profiles and views ----------------------------------------------------------------------


def test_each_profile_is_said_with_the_instances_that_it_shows(paths: Paths) -> None:
    profiles = {
        "work": {"instances": ["files-*", "git"]},
        "all": {"expose": "router"},
        "one": {"expose": "transparent", "instances": ["git"]},
        "nothing": {"instances": []},
        "missing": {"instances": ["there-is-none-*"]},
    }
    configure(paths, profiles=profiles)
    add(paths, "files-a", '{"command": "a"}')
    add(paths, "files-b", '{"command": "b", "isActive": false}')
    add(paths, "git", '{"command": "c"}')
    findings = found(paths)
    assert findings.problems == ()
    assert findings.profiles == (
        "Profile work (direct) shows files-a, files-b, git",
        "Profile all (router) shows files-a, files-b, git",
        "Profile one (transparent) shows git",
        "Profile nothing (direct) shows no instance",
        "Profile missing (direct) shows no instance",
    )


def test_profile_called_like_an_instance_is_a_problem_that_names_both(paths: Paths) -> None:
    configure(paths, profiles={"git": {}, "work": {}})
    add(paths, "vcs", '{"name": "git", "command": "c"}')
    assert found(paths).problems == (
        "config.json: profiles.git: an instance has this name too (in data/vcs/mcp_settings.json); "
        "rename one of them: /mcp/git shows the profile",
    )


def test_view_of_the_command_line_has_to_be_there(paths: Paths) -> None:
    configure(paths, profiles={"work": {}})
    add(paths, "git", '{"command": "c"}')
    for view in ("router", "direct", "search", "auto", "work", "git"):
        assert found(paths, Options(view=view)).problems == ()
    assert found(paths, Options(view="x")).problems == (
        '--view: there is no view "x"; there are router, direct, search, auto, '
        "profiles: work; instances: git",
    )


def test_instances_of_profiles_and_tokens_that_are_not_there_are_noted(paths: Paths) -> None:
    token = {"token": LONG, "instances": ["git", "mail"]}
    profiles = {"work": {"instances": ["gti", "later-*"]}, "all": {}}
    configure(paths, profiles=profiles, security={"tokens": {"ci": token}})
    add(paths, "git", '{"command": "c"}')
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        "Note: config.json: profiles.work.instances: there is no instance 'gti' yet. "
        "Did you mean 'git'?",
        "Note: config.json: security.tokens.ci.instances: there is no instance 'mail' yet. "
        "Did you mean 'git'?",
    )


def test_misspelled_keys_are_warned_of_and_are_no_problem(paths: Paths) -> None:
    add(paths, "a", '{"mcpServers": {"x": {"command": "a", "idle_stop": 5}}}')
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        "Warning: data/a/mcp_settings.json: mcpServers.x.idle_stop: unknown key, which does "
        'nothing; did you mean "idle_stop_s"?',
    )


def test_keys_that_have_no_effect_are_noted_and_are_no_problem(paths: Paths) -> None:
    add(paths, "a", '{"mcpServers": {"x": {"command": "a", "alwaysAllow": ["t"]}}}')
    add(paths, "b", '{"command": "b", "autoApprove": []}')
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        "Note: no effect here, since each client decides which tools it runs without asking: "
        "data/a/mcp_settings.json: mcpServers.x.alwaysAllow, data/b/mcp_settings.json: autoApprove",
    )


def test_names_in_filters_that_the_server_did_not_offer_last_are_noted(paths: Paths) -> None:
    filters = {"allow": ["raed"], "describe": {"read": "x"}}
    add(paths, "a", json.dumps({"command": "a", "tools": filters}))
    add(paths, "never", json.dumps({"command": "b", "tools": filters}))
    add(paths, "off", json.dumps({"command": "c", "tools": filters, "catalogue_cache": False}))
    specs = load_instances(paths.data, {}).specs
    folder = CatalogueFolder(paths.cache)
    folder.read(specs)
    catalog = Catalog(tools=(Item("read", Raw(b'{"name":"read"}')),))
    known = KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, catalog)
    for spec in specs:
        assert folder.write(spec, known) == (spec.name != "off")
        if spec.name == "never":
            (paths.cache / "catalogues" / name_file(hash_entry(spec))).unlink()
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        "Note: data/a/mcp_settings.json: tools.allow: the server offers no tool 'raed'; "
        "did you mean 'read'? (by its last known lists)",
    )


def test_profile_that_wants_code_to_be_run_is_warned_of_without_the_extra(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(paths, profiles={"work": {"expose": "code"}})
    assert found(paths).notes == ()
    monkeypatch.setattr(code_extra, "PACKAGE", "no_such_package")
    findings = found(paths)
    assert findings.problems == ()
    assert findings.notes == (
        'Warning: config.json: profiles.work: "expose": "code" needs mcp-router[code]; until then '
        f"its clients search, and run no code; run: {code_extra.how_to_install()}",
    )
