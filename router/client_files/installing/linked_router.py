"""Says how clients reach this router: by its URL, or by a command. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    from router.config.settings import Settings

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Addresses on which a router listens for all, and those by which this machine reaches it."""


class LinkedRouter(Struct, frozen=True):
    """The router that clients are pointed at.

    Attributes:
        program: the absolute path of this program, and the arguments that make it this program.
        config: the absolute path of its `config.json`.
        url: its place for streamable HTTP; None if no fixed port has one.
        view: the view that the client is to see; None for the router's own default.
        has_token: it asks clients over HTTP for a token.
        is_standalone: the client is to start a router of its own.
        data: the folder of providers, if it is not the one that the config file names.
    """

    program: tuple[str, ...]
    config: Path
    url: str | None
    view: str | None = None
    has_token: bool = False
    is_standalone: bool = False
    data: Path | None = None

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        config: Path,
        program: tuple[str, ...],
        *,
        view: str | None = None,
        is_standalone: bool = False,
        data: Path | None = None,
    ) -> LinkedRouter:
        """Return the router that a `config.json` describes."""
        return cls(
            program,
            config,
            _url_of(settings, view),
            view,
            settings.security.has_token,
            is_standalone,
            data,
        )

    @property
    def command(self) -> list[str]:
        """The command that speaks MCP on stdio, with absolute paths: clients have their own PATH.

        It joins the running router, or is a router of its own.
        """
        words = [*self.program, "stdio" if self.is_standalone else "connect"]
        words += ["-c", str(self.config)]
        if self.data is not None and self.is_standalone:
            words += ["--data", str(self.data)]
        return words if self.view is None else [*words, "--view", self.view]


def _url_of(settings: Settings, view: str | None) -> str | None:
    server = settings.server
    if not server.http.enabled or server.http.port == 0:
        return None
    host = _EVERYWHERE.get(server.host, server.host)
    authority = f"[{host}]" if ":" in host else host
    place = "/mcp" if view is None else f"/mcp/{quote(view, safe='')}"
    return f"http://{authority}:{server.http.port}{place}"
