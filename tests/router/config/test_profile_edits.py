"""Changes of profiles in `config.json`: what is written, and what is refused."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from router.config import profile_edits
from router.config.profile_edits import SavedProfile, save_profile
from router.messages.errors import INSTANCE_NOT_FOUND, INVALID_PARAMS, ConfigError, RpcError
from router.messages.instances.exposure import Profile
from tests.router.config.config_file import write

if TYPE_CHECKING:
    from pathlib import Path

BEFORE: dict[str, Any] = {
    "server": {"view": "home"},
    "profiles": {"home": {"title": "Home"}, "work": {"instances": ["a"]}},
    "logging": {"level": "INFO"},
}


def refusal(config: Path, name: str, value: Any) -> RpcError:
    """Return the refusal of a change, which must leave the file as it was."""
    before = config.read_bytes()
    with pytest.raises(RpcError) as refused:
        save_profile(config, name, value)
    assert config.read_bytes() == before
    return refused.value


# --- Written ---------------------------------------------------------------------------------


def test_new_profile_is_put_behind_the_others_and_all_else_stays(config: Path) -> None:
    before = json.dumps(BEFORE, indent=2) + "\n"
    saved = save_profile(write(config, before), "文件", {"expose": "router"})
    assert saved == SavedProfile(was_there=False, profile=Profile("router"))
    profiles = BEFORE["profiles"] | {"文件": {"expose": "router"}}
    text = json.dumps(BEFORE | {"profiles": profiles}, indent=2, ensure_ascii=False) + "\n"
    assert config.read_text() == text


def test_comments_stay(config: Path) -> None:
    before = '{\n  // views\n  "profiles": {\n    // "old": {}\n  },\n}\n'
    save_profile(write(config, before), "work", {})
    save_profile(config, "home", {"title": "Home"})
    save_profile(config, "work", None)
    lines = config.read_text().splitlines()
    assert lines[:4] == ["{", "  // views", '  "profiles": {', '    // "old": {}']
    assert lines[4].strip() == '"home": {'
    assert lines[-2:] == ["  },", "}"]


def test_profile_is_replaced_as_a_whole_in_its_place(config: Path) -> None:
    saved = save_profile(write(config, BEFORE), "home", {"instances": ["b"]})
    assert saved == SavedProfile(was_there=True, profile=Profile(instances=("b",)))
    written = json.loads(config.read_text())["profiles"]
    assert list(written.items()) == [("home", {"instances": ["b"]}), ("work", {"instances": ["a"]})]


def test_profile_is_removed(config: Path) -> None:
    assert save_profile(write(config, BEFORE), "work", None) == SavedProfile(
        was_there=True, profile=None
    )
    assert json.loads(config.read_text())["profiles"] == {"home": {"title": "Home"}}


def test_first_profile_is_put_into_a_file_that_has_none(config: Path) -> None:
    save_profile(write(config, {"api": {}}), "work", {})
    assert json.loads(config.read_text()) == {"api": {}, "profiles": {"work": {}}}


def test_numbers_and_keys_that_decide_nothing_stay_as_they_are_written(config: Path) -> None:
    save_profile(
        write(config, '{"server": {"stdio": {}, "drain_s": 1.50e1}, "profiles": {}}'), "work", {}
    )
    assert '"drain_s": 1.50e1' in config.read_text()
    assert '"stdio": {}' in config.read_text()


def test_mode_of_the_file_stays(config: Path) -> None:
    write(config, BEFORE).chmod(0o640)
    save_profile(config, "work", {})
    assert config.stat().st_mode & 0o777 == 0o640


# --- Refused ---------------------------------------------------------------------------------


def test_change_that_would_give_the_name_in_server_view_another_meaning_is_refused(
    config: Path,
) -> None:
    problem = (
        'config.json: server.view is "auto", and would be another view with this change; '
        "change server.view first"
    )
    write(config, {"server": {"view": "auto"}})
    assert refusal(config, "auto", {}).message == problem
    write(config, {"server": {"view": "auto"}, "profiles": {"auto": {}}})
    assert refusal(config, "auto", None).message == problem
    assert save_profile(config, "auto", {"title": "A"}).was_there


def test_profile_that_is_not_there_cannot_be_removed(config: Path) -> None:
    error = refusal(write(config, BEFORE), "x", None)
    assert error.code == INSTANCE_NOT_FOUND
    assert error.message == "Profile not found: x. Available profiles: 'home', 'work'"
    assert "Available profiles: none" in refusal(write(config, {}), "x", None).message


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("work", {"expose": "x"}, "profiles.work.expose: expected one of "),
        ("work", {"exposed": "x"}, "profiles.work.exposed: unknown key; "),
        ("work", {"expose": "transparent"}, "profiles.work.instances: with "),
        ("router", {}, "profiles.router: expected as its name letters, digits"),
        (
            "home",
            None,
            'server.view: expected "router", "direct", "search", "auto" or the name of a '
            "profile (work)",
        ),
    ],
)
def test_change_that_would_leave_a_mistake_is_refused(
    config: Path, name: str, value: Any, problem: str
) -> None:
    error = refusal(write(config, BEFORE), name, value)
    assert error.code == INVALID_PARAMS
    in_use = f"Profile '{name}' is in use: " if value is None else ""
    assert error.message.startswith(f"{in_use}config.json: {problem}")


def test_profile_of_a_token_cannot_be_removed(config: Path) -> None:
    tokens = {"ci": {"token": "s3cret", "profile": "work"}}
    error = refusal(write(config, BEFORE | {"security": {"tokens": tokens}}), "work", None)
    where = "config.json: security.tokens.ci.profile"
    assert error.message.startswith(f"Profile 'work' is in use: {where}: expected the name")
    assert "s3cret" not in error.message


def test_value_that_json_cannot_hold_is_refused(config: Path) -> None:
    assert refusal(write(config, BEFORE), "work", {"title": "\ud800"}).code == INVALID_PARAMS


def test_file_that_would_be_too_large_is_not_written(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, BEFORE)
    monkeypatch.setattr(profile_edits, "CONFIG_LIMIT_BYTES", 1024 * 1024)
    error = refusal(config, "work", {"title": "x" * 1024 * 1024})
    assert error.message == "config.json would be larger than 1 MB"


@pytest.mark.parametrize("text", ["{", '{"api": {"port": "x"}}', '{"profiles": []}'])
def test_file_that_is_broken_already_stays_as_it_is(config: Path, text: str) -> None:
    write(config, text)
    with pytest.raises(ConfigError, match=r"^config\.json: "):
        save_profile(config, "work", {})
    assert config.read_text() == text


def test_file_that_is_gone_is_not_made(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"^config\.json: is gone$"):
        save_profile(config, "work", {})
    assert not config.exists()


def test_file_that_cannot_be_written_is_as_it_was(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = write(config, BEFORE).read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_profile(config, "work", {})
    assert config.read_bytes() == before
    assert [path.name for path in config.parent.iterdir() if path.name != ".lock"] == [config.name]


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_link_is_not_written_through(config: Path) -> None:
    target = write(config.with_name("target.json"), BEFORE)
    config.symlink_to(target)
    before = target.read_bytes()
    with pytest.raises(OSError, match="it is a symbolic link; edit what it points to"):
        save_profile(config, "work", {})
    assert target.read_bytes() == before
