"""Writes the units of systemd for one installation.

The files in `deploy/systemd` are what this module writes for an installation in `/usr/local/bin`.

Invariants: each word of a command is quoted as systemd.service(5) and systemd.syntax(7) have it, so
no path is read as several words or as a specifier. All options of the units are known to systemd
252, the oldest version in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config.values import Mode

HOMES: Final = ("/home/", "/root/", "/run/user/")
"""Folders that `ProtectHome=` hides from a system service."""


@attrs.frozen
class Service:
    """The command of a service unit, and its surroundings.

    Attributes:
        executable: the path of `mcp-router`.
        words: its arguments after `serve`.
        path: `PATH` of the service, in which the commands of servers are found; None for systemd's.
        written: folders besides its own that the service writes to.
        interpreter: the path of its Python, links followed; empty if it is not known.
    """

    executable: str
    words: Sequence[str] = ("--transport", "http")
    path: str | None = None
    written: Sequence[str] = ()
    interpreter: str = ""

    @property
    def command(self) -> str:
        """The value of `ExecStart=`."""
        arguments = (quoted(word).replace("$", "$$") for word in ("serve", *self.words))
        # No variable is looked for in the name of a program.
        return " ".join((quoted(self.executable), *arguments))


def quoted(word: str) -> str:
    """Return a word as it stands in a unit; arguments of a command have each `$` doubled, too."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    # A line break would end the option, and begin another one.
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r")
    is_plain = word and all(character.isalnum() or character in "@_-+=:,./" for character in word)
    return word if is_plain else f'"{escaped}"'


SYSTEM: Final = """\
# /etc/systemd/system/mcp-router.service
#
# Put it there, then:
#   systemctl daemon-reload && systemctl enable --now mcp-router
#
# config.json is read from /etc/mcp-router, data/ is in /var/lib/mcp-router, logs/ in
# /var/log/mcp-router, and what npx, uvx and the router keep for later in /var/cache/mcp-router.
# systemd makes these folders.
{notes}
[Unit]
Description=MCP Router: one endpoint in front of MCP servers
Wants=network-online.target
After=network-online.target
# A mistake in config.json ends each start, with a line in the journal, until it is mended.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# From systemd 253 on, drop-ins/notify-reload.conf tells when a reload is over.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
WatchdogSec=30
TimeoutStartSec=60
# More than server.drain_s (30) and the time that servers get to end. A router with a longer
# drain_s asks for more time by itself.
TimeoutStopSec=90
# SIGTERM is for the router alone, which ends its servers itself.
KillMode=mixed
LimitNOFILE=65536

DynamicUser=yes
User=mcp-router
ConfigurationDirectory=mcp-router
StateDirectory=mcp-router
LogsDirectory=mcp-router
CacheDirectory=mcp-router mcp-router/home
RuntimeDirectory=mcp-router
StateDirectoryMode=0700
LogsDirectoryMode=0700
CacheDirectoryMode=0700
RuntimeDirectoryMode=0700
UMask=0077
WorkingDirectory=%S/mcp-router
Environment=HOME=%C/mcp-router/home
Environment=XDG_CONFIG_HOME=%E XDG_DATA_HOME=%S XDG_STATE_HOME=%L XDG_CACHE_HOME=%C
{more}
# A secret for config.json or data/ as ${{credential:router-token}}; see drop-ins/credentials.conf.
#LoadCredential=router-token:/etc/mcp-router/secrets/router-token

# Left out on purpose: MemoryDenyWriteExecute= (Node.js compiles at run time and would die), and
# ProcSubset=pid (Node.js would see no CPU).
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
RemoveIPC=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

USER: Final = """\
# ~/.config/systemd/user/mcp-router.service
#
# Put it there, then:
#   systemctl --user daemon-reload && systemctl --user enable --now mcp-router
#   loginctl enable-linger    # to have it run while you are not logged in
{notes}
[Unit]
Description=MCP Router: one endpoint in front of MCP servers
# A mistake in config.json ends each start, with a line in the journal, until it is mended.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# From systemd 253 on, drop-ins/notify-reload.conf tells when a reload is over.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
WatchdogSec=30
TimeoutStartSec=60
# More than server.drain_s (30) and the time that servers get to end. A router with a longer
# drain_s asks for more time by itself.
TimeoutStopSec=90
# SIGTERM is for the router alone, which ends its servers itself.
KillMode=mixed
{more}UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=default.target
"""

SOCKET: Final = """\
# {place}/mcp-router.socket
#
# With it, systemd listens, and new connections wait while the router restarts or is upgraded. Put
# it beside mcp-router.service, then:
#   {systemctl} daemon-reload && {systemctl} stop mcp-router
#   {systemctl} enable --now mcp-router.socket mcp-router.service
#
# The router knows a socket by its port in config.json. For another address here than there, use one
# unit for each listener, with FileDescriptorName=http, sse or api.

[Unit]
Description=The sockets of MCP Router

[Socket]
{streams}
Backlog=1024

[Install]
WantedBy=sockets.target
"""

NOTIFY_RELOAD: Final = """\
# /etc/systemd/system/mcp-router.service.d/notify-reload.conf
#
# For systemd 253 and later: `systemctl reload mcp-router` returns once config.json and data/ have
# been read again. `systemctl status` then says whether a mistake was found.

[Service]
Type=notify-reload
ExecReload=
"""

CREDENTIALS: Final = """\
# /etc/systemd/system/mcp-router.service.d/credentials.conf
#
# Each line makes a file of root's readable for the router alone. config.json and data/ then have
# "${credential:router-token}" in place of the secret. `systemd-creds encrypt` makes files that only
# this machine can read; they are for LoadCredentialEncrypted=.

[Service]
LoadCredential=router-token:/etc/mcp-router/secrets/router-token
#LoadCredential=github-token:/etc/mcp-router/secrets/github-token
#LoadCredentialEncrypted=router-token:/etc/mcp-router/secrets/router-token.cred
"""


def service_unit(service: Service, *, is_user: bool) -> str:
    """Return the text of the service unit, for the system or for one user."""
    more = [f"Environment={quoted(f'PATH={service.path}')}"] if service.path else []
    more += [f"ReadWritePaths={quoted(folder)}" for folder in service.written if not is_user]
    template = USER if is_user else SYSTEM
    text = "".join(f"{line}\n" for line in more)
    notes = "" if is_user else _notes(service)
    return template.format(command=service.command, more=text, notes=notes)


def _notes(service: Service) -> str:
    paths = (service.executable, service.interpreter)
    hidden = next((path for path in paths if path.startswith(HOMES)), None)
    if hidden is None:
        return ""
    return (
        "#\n"
        f"# {hidden} is in a home folder, which a system service does not see. Install the\n"
        "# router for all users, from a checkout of its source such as with\n"
        "#   UV_TOOL_DIR=/opt/uv UV_TOOL_BIN_DIR=/usr/local/bin \\\n"
        "#     uv tool install --python /usr/bin/python3 --constraints requirements.txt .\n"
        "# or use `mcp-router systemd --user`.\n"
    )


def socket_unit(addresses: Mapping[Mode, tuple[str, int]], *, is_user: bool) -> str:
    """Return the text of the socket unit for these listeners, each with host and port.

    Raises:
        ConfigError: a listener has no port of its own, or nothing listens on the network.
    """
    if not addresses:
        raise ConfigError("--socket", "stdio has no socket; add --transport http")
    streams: list[str] = []
    for mode, (host, port) in addresses.items():
        section = "api" if mode == "api" else f"server.{mode}"
        if port == 0:
            problem = "is 0; give it a number, by which the router knows the socket"
            raise ConfigError(f"config.json: {section}.port", problem)
        name = "127.0.0.1" if host == "localhost" else host.strip("[]")
        streams.append(f"ListenStream={f'[{name}]' if ':' in name else name}:{port}")
    place = "~/.config/systemd/user" if is_user else "/etc/systemd/system"
    systemctl = "systemctl --user" if is_user else "systemctl"
    return SOCKET.format(place=place, systemctl=systemctl, streams="\n".join(streams))
