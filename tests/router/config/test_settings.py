"""`config.json`: its defaults, and the errors of what is wrong in it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from router.config.settings import (
    FIRST_SETTINGS,
    Security,
    Settings,
    load_settings,
    settings_as_written,
    settings_or_defaults,
    to_json,
)
from router.messages.errors import ConfigError
from tests.router.config.config_file import problems, write

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS: dict[str, Any] = {
    "api": {
        "enabled": False,
        "host": "127.0.0.1",
        "port": 8001,
        "cors_origin": "*",
        "auto_find_port": True,
        "enable_realtime_logs": False,
    },
    "server": {
        "host": "127.0.0.1",
        "allowed_hosts": [],
        "allowed_origins": [],
        "http": {"enabled": True, "port": 3000, "auto_find_port": False, "fast_lane": True},
        "sse": {"enabled": True, "port": 3001, "auto_find_port": False, "fast_lane": True},
        "transport_type": "stdio",
        "allow_instance_management": False,
        "tool_names": "auto",
        "view": "router",
        "auto_limit_tokens": 10_000,
        "search_model": "",
        "help_limit_bytes": 65536,
        "name_limit": 48,
        "drain_s": 30,
        "public_url": "",
        "trusted_proxies": [],
        "ready_when": "serving",
    },
    "profiles": {},
    "mcp_client": {
        "enabled": True,
        "timeout": 30,
        "start_timeout_s": 60,
        "question_timeout_s": 120,
        "approval_timeout_s": 300,
        "start": "eager",
        "idle_stop_s": 0,
        "ping_interval_s": 60,
        "max_starting": "auto",
    },
    "security": {
        "bearer_token": "",
        "tokens": {},
        "allow_anonymous": False,
        "enable_validation": True,
        "check_arguments": False,
        "allow_stdio_via_api": "with_token",
        "oauth": {"issuers": []},
        "pinning": "off",
    },
    "logging": {
        "level": "INFO",
        "directory": "logs",
        "format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
        "audit": False,
    },
    "watcher": {"enabled": True, "watch_path": "data", "debounce_delay": 1.0},
}
FIRST: dict[str, Any] = DEFAULTS | {"server": DEFAULTS["server"] | {"view": "auto"}}


# --- Defaults --------------------------------------------------------------------------------


def test_missing_file_is_written_with_the_defaults_indented_by_two(config: Path) -> None:
    assert load_settings(config) == FIRST_SETTINGS
    text = config.read_text()
    assert json.loads(text) == FIRST
    assert text == json.dumps(FIRST, indent=2) + "\n"


def test_written_defaults_are_read_as_they_were(config: Path) -> None:
    load_settings(config)
    before = config.read_bytes()
    assert load_settings(config) == FIRST_SETTINGS
    assert config.read_bytes() == before


def test_first_file_shows_the_tools_themselves_and_a_file_without_the_key_those_of_the_router(
    config: Path,
) -> None:
    assert load_settings(config).server.view == "auto"
    assert attrs.evolve(FIRST_SETTINGS, server=Settings().server) == Settings()
    assert load_settings(write(config, {"server": {}})).server.view == "router"


def test_defaults_can_be_had_without_writing_them(config: Path) -> None:
    assert settings_or_defaults(config) == FIRST_SETTINGS
    assert not config.exists()
    write(config, {"api": {"port": 1}})
    assert settings_or_defaults(config).api.port == 1


def test_missing_folder_is_made_for_the_defaults(tmp_path: Path) -> None:
    load_settings(tmp_path / "a" / "b" / "config.json")
    assert (tmp_path / "a" / "b" / "config.json").exists()


def test_defaults_that_cannot_be_written_are_a_warning(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", read_only)
    assert load_settings(config) == FIRST_SETTINGS
    assert not config.exists()
    assert caplog.messages == [
        f"{config} cannot be written (Read-only file system); going on with the defaults"
    ]


@pytest.mark.parametrize("value", [{}, {"api": {}}, {"server": {"http": {}, "sse": {}}}])
def test_partial_file_is_completed_and_not_write(config: Path, value: Any) -> None:
    assert load_settings(write(config, value)) == Settings()
    assert json.loads(config.read_text()) == value


def test_given_values_stay_beside_completed_ones(config: Path) -> None:
    value = {"server": {"http": {"port": 4000}}, "mcp_client": {"timeout": 2.5}}
    settings = load_settings(write(config, value))
    assert settings.server.http.port == 4000
    assert settings.server.http.enabled
    assert settings.server.sse.port == 3001
    assert settings.mcp_client.timeout == 2.5


def test_every_default_may_be_written_out(config: Path) -> None:
    assert load_settings(write(config, DEFAULTS)) == Settings()
    assert json.loads(to_json(Settings())) == DEFAULTS


def test_whole_number_of_seconds_is_a_number_of_seconds(config: Path) -> None:
    assert load_settings(write(config, {"watcher": {"debounce_delay": 2}})).watcher == (
        attrs.evolve(Settings().watcher, debounce_delay=2)
    )


def test_file_of_the_original_is_understood(config: Path) -> None:
    value = {
        "api": {"enabled": True, "port": 8000, "host": "0.0.0.0", "cors_origin": "0.0.0.0"},
        "server": {
            "transport_type": "http",
            "host": "0.0.0.0",
            "http": {"enabled": True, "port": 3000},
            "sse": {"enabled": False, "port": 3001},
            "allow_instance_management": True,
        },
        "mcp_client": {"enabled": True, "timeout": 30},
        "security": {"bearer_token": "my-secret", "enable_validation": True},
        "logging": {"level": "OFF", "format": "%(message)s", "directory": "logs"},
        "watcher": {"enabled": True, "watch_path": "data", "debounce_delay": 1.0},
    }
    settings = load_settings(write(config, value))
    assert settings.api.host == "0.0.0.0"
    assert settings.security.bearer_token == "my-secret"
    assert settings.logging.level == "OFF"


@pytest.mark.parametrize(
    "idle",
    [
        {"stdio": {"enabled": True}},
        {"enabled": True, "transport_type": "stdio", "allow_instance_management": False},
        {"enabled": False, "stdio": {}},
    ],
)
def test_keys_that_the_original_wrote_and_that_decide_nothing_are_no_error(
    config: Path, idle: dict[str, Any]
) -> None:
    assert load_settings(write(config, {"server": idle})) == Settings()


# --- Errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"api": {"port": "x"}}, 'api.port: expected an integer, got "x"'),
        (
            {"api": {"port": 65536}},
            "api.port: expected a port from 0 (any free one) to 65535, got 65536",
        ),
        (
            {"server": {"http": {"port": -1}}},
            "server.http.port: expected a port from 0 (any free one) to 65535, got -1",
        ),
        (
            {"server": {"host": ""}},
            'server.host: expected a host such as "127.0.0.1" or "mcp.example.org", got ""',
        ),
        (
            {"server": {"allowed_hosts": ["a b"]}},
            'server.allowed_hosts[0]: expected a host such as "127.0.0.1" or "mcp.example.org", '
            'got "a b"',
        ),
        (
            {"server": {"allowed_origins": ["app.example.org"]}},
            'server.allowed_origins[0]: expected an origin such as "https://app.example.org", '
            'got "app.example.org"',
        ),
        (
            {"server": {"transport_type": "tcp"}},
            'server.transport_type: expected one of "stdio", "http", "sse", "api", got "tcp"',
        ),
        (
            {"server": {"tool_names": 1}},
            'server.tool_names: expected one of "auto", "dotted", "underscored", got 1',
        ),
        (
            {"server": {"help_limit_bytes": 0}},
            "server.help_limit_bytes: expected a positive integer, got 0",
        ),
        (
            {"server": {"name_limit": 15}},
            "server.name_limit: expected a number of characters from 16 to 64, got 15",
        ),
        (
            {"server": {"name_limit": 65}},
            "server.name_limit: expected a number of characters from 16 to 64, got 65",
        ),
        (
            {"server": {"trusted_proxies": ["10.0.0.1/8"]}},
            "server.trusted_proxies[0]: expected an address or a network such as "
            '"10.0.0.0/8", or "unix", got "10.0.0.1/8"',
        ),
        (
            {"logging": {"audit": 1}},
            'logging.audit: expected true, false or "digests", got 1',
        ),
        (
            {"logging": {"audit": "yes"}},
            'logging.audit: expected true, false or "digests", got "yes"',
        ),
        (
            {"server": {"drain_s": -1}},
            "server.drain_s: expected a number of seconds from 0 to 2592000 (30 days), got -1",
        ),
        (
            {"mcp_client": {"timeout": 0}},
            "mcp_client.timeout: expected a positive number of seconds, up to 2592000 (30 days), "
            "got 0",
        ),
        (
            {"mcp_client": {"start_timeout_s": 1e300}},
            "mcp_client.start_timeout_s: expected a positive number of seconds, up to 2592000 (30 "
            "days), got 1e300",
        ),
        (
            {"watcher": {"debounce_delay": 2592001}},
            "watcher.debounce_delay: expected a number of seconds from 0 to 2592000 (30 days), got "
            "2592001",
        ),
        (
            {"mcp_client": {"max_starting": 0}},
            'mcp_client.max_starting: expected "auto" or a positive integer, got 0',
        ),
        (
            {"mcp_client": {"max_starting": "many"}},
            'mcp_client.max_starting: expected "auto" or a positive integer, got "many"',
        ),
        (
            {"mcp_client": {"max_starting": True}},
            'mcp_client.max_starting: expected "auto" or a positive integer, got true',
        ),
        (
            {"mcp_client": {"max_starting": 2.5}},
            'mcp_client.max_starting: expected "auto" or a positive integer, got 2.5',
        ),
        (
            {"security": {"allow_stdio_via_api": True}},
            'security.allow_stdio_via_api: expected one of "with_token", "never", got true',
        ),
        (
            {"logging": {"level": "info"}},
            'logging.level: expected one of "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", '
            '"OFF", got "info"',
        ),
        (
            {"logging": {"directory": ""}},
            'logging.directory: expected the path of a folder, got ""',
        ),
        ({"api": []}, "api: expected an object, got an array"),
        (
            {"servers": {}},
            "servers: unknown key; did you mean server?",
        ),
        (
            {"server": {"enabled": "no"}},
            "server.enabled: unknown key; the keys here are host, allowed_hosts, allowed_origins, "
            "http, sse, transport_type, allow_instance_management, tool_names, view, "
            "auto_limit_tokens, search_model, help_limit_bytes, name_limit, drain_s, public_url, "
            "trusted_proxies, ready_when",
        ),
        (
            {"server": {"stdio": {"port": 1}}},
            "server.stdio: unknown key; the keys here are host, allowed_hosts, allowed_origins, "
            "http, sse, transport_type, allow_instance_management, tool_names, view, "
            "auto_limit_tokens, search_model, help_limit_bytes, name_limit, drain_s, public_url, "
            "trusted_proxies, ready_when",
        ),
        ({"server": 1}, "server: expected an object, got a number"),
        (
            {"watcher": {"path": "x"}},
            "watcher.path: unknown key; the keys here are enabled, watch_path, debounce_delay",
        ),
    ],
)
def test_wrong_key_or_value_is_named_with_file_and_path(
    config: Path, value: Any, problem: str
) -> None:
    assert problems(config, value) == [f"config.json: {problem}"]


@pytest.mark.parametrize("text", ["%(message", "%(nothing)s", "%(levelno)z", "", "{message}"])
def test_log_format_that_would_fail_is_refused(config: Path, text: str) -> None:
    (problem,) = problems(config, {"logging": {"format": text}})
    assert problem.startswith('config.json: logging.format: expected "json", or a format')


def test_all_problems_are_told_in_one_go(config: Path) -> None:
    value = {"api": {"port": "x", "enabled": 1}, "sever": {}, "logging": {"level": 0}}
    assert [line.split(": ")[1] for line in problems(config, value)] == [
        "api.enabled",
        "api.port",
        "logging.level",
        "sever",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"server": {"http": {"por', "line 1, column 26: invalid JSON: it ends too early"),
        ('{\n  "api": {} // {},\n,,}', 'line 3, column 2: invalid JSON: expected a key in " or }'),
        ("[]", "expected an object, got an array"),
        ("", "line 1, column 1: invalid JSON: it ends too early"),
    ],
)
def test_what_is_no_json_object_is_named_with_its_line(
    config: Path, text: str, problem: str
) -> None:
    assert problems(config, text) == [f"config.json: {problem}"]


def test_file_over_10_mb_is_refused(config: Path) -> None:
    limit_bytes = 10 * 1024 * 1024
    text = "{}" + " " * (limit_bytes - 2)
    assert load_settings(write(config, text)) == Settings()
    assert problems(config, text + " ") == ["config.json: is larger than 10 MB"]


def test_folder_in_its_place_is_an_error(config: Path) -> None:
    config.mkdir()
    with pytest.raises(ConfigError, match=r"^config\.json: cannot be read: "):
        load_settings(config)


def test_secrets_are_in_no_repr() -> None:
    assert "s3cret" not in repr(Settings(security=Security(bearer_token="s3cret")))


def test_comments_and_a_comma_behind_the_last_member_are_allowed(config: Path) -> None:
    text = '{\n  // where the REST API is\n  "api": { "port": 8002, /* free */ },\n}\n'
    assert settings_as_written(write(config, text)).api.port == 8002
