"""The clients whose files are read and written, with the source of each fact.

Invariants: pure; a file is listed whether or not it exists; the names are unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from router.client_files.clients.client import ANY_KEY, Client, ClientFile, Dialect
from router.client_files.clients.folders import (
    application_support,
    code_user_folder,
    local_application_data,
    path_of_variable,
    xdg_config,
)
from router.core.text.nearest_names import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from router.client_files.clients.client import Machine, Scope, Transport

_MCP_SERVERS: Final = ("mcpServers",)
_ALL: Final[frozenset[Transport]] = frozenset({"stdio", "http", "sse"})
_STDIO: Final[frozenset[Transport]] = frozenset({"stdio"})
_NO_SSE: Final[frozenset[Transport]] = frozenset({"stdio", "http"})


def _json(
    client: str, path: Path, scope: Scope, servers_at: tuple[str, ...] = _MCP_SERVERS
) -> ClientFile:
    return ClientFile(client, path, scope, "json", servers_at)


# --- Claude ----------------------------------------------------------------------------------


def _claude_desktop(machine: Machine) -> tuple[ClientFile, ...]:
    # modelcontextprotocol.io/docs/develop/connect-local-servers names macOS and Windows. On Linux
    # the same folder of Electron is used, as several installers agree.
    path = application_support(machine) / "Claude" / "claude_desktop_config.json"
    return (_json("claude-desktop", path, "user"),)


def _claude_code(machine: Machine) -> tuple[ClientFile, ...]:
    # code.claude.com/docs/en/mcp, MCP installation scopes: user and local scope are both in
    # ~/.claude.json, project scope in .mcp.json. VS Code and Copilot CLI read that one as well.
    folder = path_of_variable(machine, "CLAUDE_CONFIG_DIR") or machine.home
    path = folder / ".claude.json"
    return (
        _json("claude-code", path, "user"),
        _json("claude-code", path, "project", ("projects", ANY_KEY, "mcpServers")),
        _json("claude-code", machine.cwd / ".mcp.json", "project"),
    )


# --- Editors ---------------------------------------------------------------------------------


def _cursor(machine: Machine) -> tuple[ClientFile, ...]:
    # cursor.com/docs/mcp, Configuration locations.
    return (
        _json("cursor", machine.home / ".cursor" / "mcp.json", "user"),
        _json("cursor", machine.cwd / ".cursor" / "mcp.json", "project"),
    )


def _vscode(machine: Machine) -> tuple[ClientFile, ...]:
    # code.visualstudio.com/docs/agents/reference/mcp-configuration, Configuration file. The
    # portable format in .mcp.json is listed with Claude Code, which has the same file.
    copilot = path_of_variable(machine, "COPILOT_HOME") or machine.home / ".copilot"
    return (
        _json("vscode", code_user_folder(machine) / "mcp.json", "user", ("servers",)),
        _json("vscode", copilot / "mcp-config.json", "user"),
        _json("vscode", machine.cwd / ".vscode" / "mcp.json", "project", ("servers",)),
    )


def _windsurf(machine: Machine) -> tuple[ClientFile, ...]:
    # docs.windsurf.com/windsurf/cascade/mcp; on Windows it is below %USERPROFILE% as well.
    path = machine.home / ".codeium" / "windsurf" / "mcp_config.json"
    return (_json("windsurf", path, "user"),)


def _zed(machine: Machine) -> tuple[ClientFile, ...]:
    # zed-industries/zed, crates/paths/src/paths.rs, config_dir: only Windows has its own folder,
    # and macOS does not look at XDG_CONFIG_HOME. zed.dev/docs/configuring-zed, Settings files.
    if machine.platform == "win32":
        folder = application_support(machine) / "Zed"
    elif machine.platform == "darwin":
        folder = machine.home / ".config" / "zed"
    else:
        flatpak = path_of_variable(machine, "FLATPAK_XDG_CONFIG_HOME")
        folder = (flatpak or xdg_config(machine)) / "zed"
    at = ("context_servers",)
    return (
        _json("zed", folder / "settings.json", "user", at),
        _json("zed", machine.cwd / ".zed" / "settings.json", "project", at),
    )


def _cline(machine: Machine) -> tuple[ClientFile, ...]:
    # docs.cline.bot/mcp/mcp-overview, and cline/cline, sdk/packages/shared/src/storage/paths.ts,
    # resolveMcpSettingsPath. Older versions of the extension use the folder of VS Code.
    name = "cline_mcp_settings.json"
    data = path_of_variable(machine, "CLINE_DATA_DIR")
    if data is None:
        folder = path_of_variable(machine, "CLINE_DIR") or machine.home / ".cline"
        data = folder / "data"
    path = path_of_variable(machine, "CLINE_MCP_SETTINGS_PATH") or data / "settings" / name
    storage = code_user_folder(machine) / "globalStorage" / "saoudrizwan.claude-dev"
    return (
        _json("cline", path, "user"),
        _json("cline", storage / "settings" / name, "user"),
    )


def _junie(machine: Machine) -> tuple[ClientFile, ...]:
    # jetbrains.com/help/junie/model-context-protocol-mcp.html: stdio is all that it speaks.
    return (
        _json("junie", machine.home / ".junie" / "mcp" / "mcp.json", "user"),
        _json("junie", machine.cwd / ".junie" / "mcp" / "mcp.json", "project"),
    )


def _copilot_jetbrains(machine: Machine) -> tuple[ClientFile, ...]:
    # github/github-mcp-server, docs/installation-guides/install-other-copilot-ides.md has the
    # keys. The places are those that several installers agree on, such as laravel/boost.
    on_windows = machine.platform == "win32"
    base = local_application_data(machine) if on_windows else xdg_config(machine)
    path = base / "github-copilot" / "intellij" / "mcp.json"
    return (_json("copilot-jetbrains", path, "user", ("servers",)),)


# --- Programs for the terminal, and LM Studio ------------------------------------------------


def _codex(machine: Machine) -> tuple[ClientFile, ...]:
    # developers.openai.com/codex/mcp; a project's file counts where the project is trusted.
    folder = path_of_variable(machine, "CODEX_HOME") or machine.home / ".codex"
    at = ("mcp_servers",)
    return (
        ClientFile("codex", folder / "config.toml", "user", "toml", at),
        ClientFile("codex", machine.cwd / ".codex" / "config.toml", "project", "toml", at),
    )


def _gemini(machine: Machine) -> tuple[ClientFile, ...]:
    # google-gemini/gemini-cli, docs/tools/mcp-server.md, and homedir() in
    # packages/core/src/utils/paths.ts for the variable.
    home = path_of_variable(machine, "GEMINI_CLI_HOME") or machine.home
    return (
        _json("gemini", home / ".gemini" / "settings.json", "user"),
        _json("gemini", machine.cwd / ".gemini" / "settings.json", "project"),
    )


def _opencode(machine: Machine) -> tuple[ClientFile, ...]:
    # opencode.ai/docs/config, Locations. Of two files in a folder, the one with comments counts.
    # Version 1 keeps the servers in `mcp`; version 2, packages/core/src/config/mcp.ts, in
    # `mcp.servers`.
    own = path_of_variable(machine, "OPENCODE_CONFIG")
    user = xdg_config(machine) / "opencode"
    places: tuple[tuple[Path, Scope], ...] = (
        *(((own, "user"),) if own else ()),
        (user / "opencode.jsonc", "user"),
        (user / "opencode.json", "user"),
        (machine.cwd / "opencode.jsonc", "project"),
        (machine.cwd / "opencode.json", "project"),
    )
    return tuple(
        _json("opencode", path, scope, at)
        for path, scope in places
        for at in (("mcp",), ("mcp", "servers"))
    )


def _lm_studio(machine: Machine) -> tuple[ClientFile, ...]:
    # lmstudio.ai/docs/app/mcp; the format is that of Cursor.
    return (_json("lm-studio", machine.home / ".lmstudio" / "mcp.json", "user"),)


# --- Dialects --------------------------------------------------------------------------------

_BY_TYPE: Final = {"stdio": "stdio", "http": "http", "sse": "sse"}
_LOCAL_REMOTE: Final = {"stdio": "local", "http": "remote", "sse": "remote"}
_CLINE_TYPES: Final = {"stdio": "stdio", "http": "streamableHttp", "sse": "sse"}

CLIENTS: Final[tuple[Client, ...]] = (
    Client("claude-desktop", "Claude Desktop", _claude_desktop, _STDIO, Dialect()),
    Client(
        "claude-code",
        "Claude Code",
        _claude_code,
        _ALL,
        # code.claude.com/docs/en/mcp: a `url` needs a `type`; `timeout` is in milliseconds.
        Dialect(types=_BY_TYPE, reference="${NAME}", timeout_key="timeout", timeout_unit="ms"),
    ),
    # cursor.com/docs/mcp, Config interpolation.
    Client("cursor", "Cursor", _cursor, _ALL, Dialect(reference="${env:NAME}")),
    # code.visualstudio.com/docs/agents/reference/mcp-configuration: `type` is required.
    Client("vscode", "VS Code", _vscode, _ALL, Dialect(types=_BY_TYPE, reference="${env:NAME}")),
    Client(
        "windsurf",
        "Windsurf",
        _windsurf,
        _ALL,
        # docs.windsurf.com/windsurf/cascade/mcp, Config interpolation.
        Dialect(url_key="serverUrl", reference="${env:NAME}"),
    ),
    # zed.dev/docs/ai/mcp; it has no references, and its `timeout` is in seconds.
    Client("zed", "Zed", _zed, _NO_SSE, Dialect(timeout_key="timeout")),
    Client(
        "codex",
        "Codex",
        _codex,
        _NO_SSE,
        # developers.openai.com/codex/mcp: variables are named in `bearer_token_env_var` and
        # `env_http_headers` instead of being referred to.
        Dialect(headers_at=("http_headers",), timeout_key="tool_timeout_sec"),
    ),
    Client(
        "gemini",
        "Gemini CLI",
        _gemini,
        _ALL,
        # google-gemini/gemini-cli, docs/tools/mcp-server.md: `url` alone is HTTP+SSE.
        Dialect(
            url_key="httpUrl",
            bare_url="sse",
            reference="$NAME",
            timeout_key="timeout",
            timeout_unit="ms",
            expands_dollar_names=True,
        ),
    ),
    Client(
        "opencode",
        "opencode",
        _opencode,
        _ALL,
        # opencode.ai/docs/mcp-servers and /docs/config, Variables. `timeout` is for the start.
        Dialect(
            types=_LOCAL_REMOTE,
            command_is_array=True,
            env_key="environment",
            reference="{env:NAME}",
        ),
    ),
    Client(
        "cline",
        "Cline",
        _cline,
        _ALL,
        # docs.cline.bot/mcp/configuring-mcp-servers; `timeout` is in seconds. A `url` without a
        # type is HTTP+SSE: cline/cline, sdk/packages/core, mcp/config-loader.ts.
        Dialect(types=_CLINE_TYPES, bare_url="sse", timeout_key="timeout"),
    ),
    Client("junie", "JetBrains Junie", _junie, _STDIO, Dialect(), family="jetbrains"),
    Client(
        "copilot-jetbrains",
        "GitHub Copilot in JetBrains IDEs",
        _copilot_jetbrains,
        _ALL,
        Dialect(headers_at=("requestInit", "headers")),
        family="jetbrains",
    ),
    Client("lm-studio", "LM Studio", _lm_studio, _NO_SSE, Dialect()),
)
"""All clients, in the order of documentation."""

_BY_NAME: Final = {client.name: client for client in CLIENTS}


class UnknownClient(Exception):
    """No client has this name; the message says which ones there are."""


def find_clients(name: str) -> tuple[Client, ...]:
    """Return the client of this name, or those of this family, such as `jetbrains`.

    Raises:
        UnknownClient: there is none.
    """
    found = tuple(client for client in CLIENTS if name in (client.name, client.family))
    if not name or not found:
        names = [client.name for client in CLIENTS]
        hint = did_you_mean(name, names)
        raise UnknownClient(f"there is no client '{name}'{hint} There are {', '.join(names)}")
    return found


def client_named(name: str) -> Client:
    """Return the client of this very name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


def files_of(client: Client, machine: Machine) -> tuple[ClientFile, ...]:
    """Return the tables of servers in the files of a client, without repetitions."""
    return tuple(
        attrs.evolve(file, project=machine.cwd)
        if file.scope == "project" and ANY_KEY not in file.servers_at
        else file
        for file in dict.fromkeys(client.files(machine))
    )
