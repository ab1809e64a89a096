"""Reads `config.json` into frozen classes, and writes the first one if the file is missing.

Invariants: settings are data and never change; a missing key has its default, and anything that
is not understood is an error with its path, never ignored.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import attrs
import msgspec

from router.config.live import live
from router.config.profiles import ProfileName, find_profile_mistakes, find_unknown_profiles
from router.config.security.oauth import find_issuer_mistakes
from router.config.security.security import Security
from router.config.security.tokens import (
    find_open_proxies,
    find_rate_mistakes,
    find_repeated_tokens,
    find_short_tokens,
)
from router.config.strict import convert_strictly, join_errors

# The names in annotations are looked up when a class is filled, so these are no types only.
from router.config.values import (  # noqa: TC001
    AuditSetting,
    Count,
    Delay,
    Folder,
    Host,
    Level,
    LogFormat,
    Mode,
    NameLimit,
    Network,
    Origin,
    Port,
    PublicUrl,
    Seconds,
    StartCount,
)
from router.files.json_files import read_bytes, write_atomically
from router.files.jsonc.reading import decode_commented_object
from router.messages.instances.exposure import Profile  # noqa: TC001
from router.messages.instances.run_policy import StartSetting  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger("mcp_router.settings")

CONFIG_LIMIT_BYTES: Final = 10 * 1024 * 1024


# --- The keys of config.json -----------------------------------------------------------------


@attrs.frozen
class Api:
    """The REST API; with `auto_find_port` a taken port makes it try upwards."""

    enabled: bool = False
    host: Host = live("127.0.0.1")
    port: Port = live(8001)
    cors_origin: str = live("*", restarts_api=True)
    auto_find_port: bool = live(True)
    enable_realtime_logs: bool = live(False, restarts_api=True)


@attrs.frozen
class HttpListener:
    """Streamable HTTP; with `auto_find_port` a taken port makes it try upwards.

    Attributes:
        fast_lane: serve plain POST requests without Hypercorn.
    """

    enabled: bool = True
    port: Port = live(3000)
    auto_find_port: bool = live(False)
    fast_lane: bool = True


@attrs.frozen
class SseListener:
    """HTTP+SSE; its keys are those of `HttpListener`."""

    enabled: bool = True
    port: Port = live(3001)
    auto_find_port: bool = live(False)
    fast_lane: bool = True


@attrs.frozen
class Server:
    """The MCP listeners.

    Attributes:
        host: the address that HTTP and SSE bind to.
        allowed_hosts: names that `Host` may hold besides loopback and the bound host;
            with `:port`, only with that port.
        allowed_origins: origins that browsers may send besides those of loopback.
        transport_type: the mode when the command line names none.
        allow_instance_management: let an LLM add and remove instances.
        tool_names: `mcp.router.use`, `mcp_router_use`, or for each client what it takes.
        help_limit_bytes: beyond it, `mcp.router.help` answers in brief.
        view: the view where a client names none: "router", "direct", "search", "auto" or the name
            of a profile.
        auto_limit_tokens: in an `auto` view, the tokens up to which all tools are listed.
        search_model: the folder of the model that ranks what is searched, relative to the folder of
            `config.json`; empty: that of the extra `semantic`, if it is installed.
        name_limit: characters of a direct name, `{instance}__{tool}`, at most.
        drain_s: how long calls in flight may go on after the first signal to stop.
        public_url: the URL at which clients reach this router, such as
            "https://mcp.example.com/tools", without the path of a place; empty: what `Host` says.
        trusted_proxies: networks of the reverse proxies whose `X-Forwarded-*` headers count;
            "unix" for every client of a Unix socket.
        ready_when: "serving": `/readyz` answers 200 while all listeners are up and the router is
            not stopping; "listening": while it is stopping, too; "instances": only while every
            instance that is enabled is ready as well.
    """

    host: Host = live("127.0.0.1")
    allowed_hosts: tuple[Host, ...] = live(())
    allowed_origins: tuple[Origin, ...] = live(())
    http: HttpListener = attrs.field(factory=HttpListener)
    sse: SseListener = attrs.field(factory=SseListener)
    transport_type: Mode = "stdio"
    allow_instance_management: bool = live(False, core="allow_instance_management")
    tool_names: Literal["auto", "dotted", "underscored"] = live("auto", core="tool_names")
    view: str = live("router", core="view")
    auto_limit_tokens: Count = live(10_000, core="auto_limit_tokens")
    search_model: str = live("")
    help_limit_bytes: Count = live(65536, core="help_limit_bytes")
    name_limit: NameLimit = live(48, core="name_limit")
    drain_s: Delay = 30
    public_url: PublicUrl = live("")
    trusted_proxies: tuple[Network, ...] = live(())
    ready_when: Literal["serving", "listening", "instances"] = live("serving")


@attrs.frozen
class McpClient:
    """The upstream side.

    Attributes:
        enabled: connect to upstreams at all.
        timeout: seconds for one call.
        start_timeout_s: from starting an upstream to the end of its handshake.
        question_timeout_s: for a client's answer to a question of a server, or to whether a call
            of its own is approved.
        approval_timeout_s: for an approver, where a client cannot be asked.
        start: start instances with the router, or each by its first call.
        idle_stop_s: seconds without a call after which an instance is stopped; 0 for never.
        ping_interval_s: seconds of silence after which a server is asked whether it lives; 0 for
            never.
        max_starting: the number of upstreams that may start at the same time; "auto": about two a
            core, more while the machine is idle, fewer while it is busy.
    """

    enabled: bool = live(True)
    timeout: Seconds = live(30, core="timeout_s")
    start_timeout_s: Seconds = 60
    question_timeout_s: Seconds = live(120, core="question_timeout_s")
    approval_timeout_s: Seconds = live(300, core="approval_timeout_s")
    start: StartSetting = live("eager", core="start")
    idle_stop_s: Delay = live(0, core="idle_stop_s")
    ping_interval_s: Delay = 60
    max_starting: StartCount = "auto"


@attrs.frozen
class Logging:
    """Logs; at `OFF` there are none, and no files.

    Attributes:
        level: the least severity that is logged.
        directory: the folder of the files.
        format: of a line, in the terms of Python's `logging`; "json" for one JSON object a line.
        audit: write `audit.jsonl` in that folder: a line for each call, change, refused token and
            session. "digests": with the SHA-256 of each call's arguments.
    """

    level: Level = live("INFO")
    directory: Folder = "logs"
    format: LogFormat = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    audit: AuditSetting = False


@attrs.frozen
class Watcher:
    """Reloading on change.

    Attributes:
        enabled: follow changes of `config.json` and the data folder.
        watch_path: the data folder; `options.with_data_folder` says relative to what.
        debounce_delay: seconds within which a change is read, however many follow.
    """

    enabled: bool = True
    watch_path: Folder = "data"
    debounce_delay: Delay = live(1.0)


def _no_profiles() -> dict[str, Profile]:
    return {}


@attrs.frozen
class Settings:
    """All of `config.json`; `Settings()` has the defaults.

    Attributes:
        profiles: the views that the file defines, by name.
    """

    api: Api = attrs.field(factory=Api)
    server: Server = attrs.field(factory=Server)
    profiles: dict[ProfileName, Profile] = live(factory=_no_profiles, core="profiles")
    mcp_client: McpClient = attrs.field(factory=McpClient)
    security: Security = attrs.field(factory=Security)
    logging: Logging = attrs.field(factory=Logging)
    watcher: Watcher = attrs.field(factory=Watcher)


FIRST_SETTINGS: Final = Settings(server=Server(view="auto"))
"""The settings without a file; the default of `server.view` is for files from before views."""


# --- Reading and writing ---------------------------------------------------------------------


def load_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `path`; if there is no such file, write `FIRST_SETTINGS`.

    A file that cannot be written is a warning in the log.

    Args:
        path: of `config.json`.
        environ: the values of `${VAR}`, and where the credentials are.

    Raises:
        ConfigError: the file cannot be read or understood, or a token cannot be resolved; its text
            has one problem a line.
    """
    try:
        return read_settings(path, environ)
    except FileNotFoundError:
        _write_first(path)
        return FIRST_SETTINGS


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `path`; nothing is written.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: as `load_settings`.
    """
    return _with_tokens(_settings_in(path), path, environ)


def settings_or_defaults(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `path`, or `FIRST_SETTINGS` without a file; nothing is written.

    Raises:
        ConfigError: as `load_settings`.
    """
    return _with_tokens(settings_as_written(path), path, environ)


def settings_as_written(path: Path) -> Settings:
    """Return the same as `settings_or_defaults`, with the references in tokens not resolved.

    For commands that need no token, and whose environment is not that of the router.

    Raises:
        ConfigError: the file cannot be read or understood.
    """
    try:
        return _settings_in(path)
    except FileNotFoundError:
        return FIRST_SETTINGS


def _settings_in(path: Path) -> Settings:
    return settings_of(read_bytes(path, path.name, CONFIG_LIMIT_BYTES), path.name)


def settings_of(data: bytes, file: str) -> Settings:
    """Return the settings in the text of a `config.json`, which has this name in messages.

    References in tokens are not resolved.

    Raises:
        ConfigError: the text cannot be understood.
    """
    config = _without_ignored_keys(decode_commented_object(data, file))
    settings = convert_strictly(config, Settings, file)
    security, profiles = settings.security, settings.profiles
    errors = [
        *find_profile_mistakes(profiles, f"{file}: profiles"),
        *find_unknown_profiles(
            settings.server.view, security.tokens, profiles, file, security.oauth.issuers
        ),
        *find_issuer_mistakes(security.oauth, f"{file}: security.oauth.issuers"),
        *find_repeated_tokens(security.bearer_token, security.tokens, f"{file}: security.tokens"),
        *find_rate_mistakes(security.tokens, f"{file}: security.tokens"),
        *find_open_proxies(settings.server.trusted_proxies, security, file),
    ]
    if errors:
        raise join_errors(errors)
    return settings


def _with_tokens(settings: Settings, path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings with the references in tokens resolved.

    Raises:
        ConfigError: a token cannot be resolved, or is none.
    """
    security = settings.security
    if not security.has_token:
        return settings
    # For start-up time: only those who serve others have tokens.
    from router.config.security.token_references import read_tokens

    bearer_token, tokens, oauth = read_tokens(
        security.bearer_token, security.tokens, path, environ, security.oauth
    )
    if settings.server.trusted_proxies:
        # Other machines reach even a listener on loopback: through the proxy.
        errors = list(find_short_tokens(bearer_token, tokens, f"{path.name}: security"))
        if errors:
            raise join_errors(errors)
    security = attrs.evolve(security, bearer_token=bearer_token, tokens=tokens, oauth=oauth)
    return attrs.evolve(settings, security=security)


def to_json(settings: Settings) -> bytes:
    """Return the text of a `config.json` with these settings, its keys in the classes' order."""
    # Given the classes themselves, msgspec would sort the keys.
    return msgspec.json.format(msgspec.json.encode(attrs.asdict(settings)), indent=2) + b"\n"


_IGNORED_SERVER_KEYS: Final[dict[str, tuple[Any, ...]]] = {
    "enabled": (True, False),
    "stdio": ({}, {"enabled": True}, {"enabled": False}),
}
"""Keys of `server`, each with its ignored values, that the program before this one wrote.

They decide nothing here: the command line and `transport_type` say what listens.
"""


def _without_ignored_keys(config: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(config.get("server"), dict):
        return config
    server = cast("dict[str, Any]", config["server"])
    kept = {
        key: value
        for key, value in server.items()
        if value not in _IGNORED_SERVER_KEYS.get(key, ())
    }
    return {**config, "server": kept}


def _write_first(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_json(FIRST_SETTINGS))
    except OSError as exc:
        log.warning("%s cannot be written (%s); going on with the defaults", path, exc.strerror)
