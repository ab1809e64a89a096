"""A resolver of names that a test decides on."""

from __future__ import annotations

import socket
from typing import Any

import attrs
import trio


@attrs.define
class Names(trio.abc.HostnameResolver):
    """Resolves names.

    Attributes:
        answers: name -> what it resolves to the first time, the second time, ….
        asked: the names that were resolved, in order.
    """

    answers: dict[str, list[list[str]]] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    async def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = self.answers[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            entry
            for address in found
            for entry in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError
