"""The shape of every proxy that is measured: how it is started, and how its echo is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

Kind = Literal["http", "sse", "stdio"]


@attrs.frozen
class Upstream:
    """An MCP server on stdio behind a proxy.

    Attributes:
        name: its name, of letters, digits and hyphens.
        command: the command and its arguments.
    """

    name: str
    command: tuple[str, ...]


@attrs.frozen
class Running:
    """A proxy that answers.

    Attributes:
        pid: of its main process.
        url: of streamable HTTP or SSE; None on stdio.
        tool: the name of the echo of the first upstream, as this proxy shows it.
        arguments: the arguments of a call to it, as JSON, with `%TEXT%` for the text.
        headers: headers of every request, such as a token.
        wrapped: the text of an answer may have the text of its call inside more.
    """

    pid: int
    url: str | None
    tool: str = "echo"
    arguments: str = '{"text":"%TEXT%"}'
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    wrapped: bool = False


class Proxy(Protocol):
    """A program in front of MCP servers.

    Attributes:
        name: its name in tables.
        kinds: the transports that it serves.
        wrapped: as in `Running`.
    """

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> frozenset[Kind]: ...

    @property
    def wrapped(self) -> bool: ...

    def serve(
        self, kind: Kind, upstreams: Sequence[Upstream], folder: Path
    ) -> AbstractContextManager[Running]:
        """Run the proxy until the context ends; on entering, the echo can be called.

        Args:
            kind: "http" or "sse".
            upstreams: what it serves; only those of the many suite are more than one.
            folder: an empty folder for its files.
        """
        ...

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        """Return the command that a client runs to have this proxy on stdio.

        `called_over_stdio` says how its echo is called.
        """
        ...

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        """Return the name of the echo and its arguments, as in `Running`, on stdio."""
        ...
