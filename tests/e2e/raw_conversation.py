"""Asks a server on stdio, or a router over HTTP, and keeps the bytes of its answers.

Rule: a client declares here what the router declares to its servers, because some servers offer
more to a client that can be asked. What they ask is refused.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import msgspec
from msgspec import Raw

from tests.e2e.client_2026 import REVISION_2026, Client2026, envelope
from tests.e2e.raw_client import HELLO, HttpClient, StdioRouter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CAPABILITIES: Final[dict[str, Any]] = {"roots": {}, "sampling": {}, "elicitation": {}}

REFUSED: Final = {"code": -32601, "message": "This client is not asked"}


class Peer(Protocol):
    """Carries messages to a server, without `jsonrpc`."""

    def exchange(self, message: dict[str, Any]) -> bytes:
        """Send a request; return the whole message that answers it."""
        ...

    def notify(self, message: dict[str, Any]) -> None:
        """Send a notification."""
        ...


@attrs.frozen
class Answer:
    """The result or the error that a request got, as JSON; the other one is empty."""

    result: bytes
    error: bytes

    @classmethod
    def of(cls, message: bytes) -> Answer:
        """Return what an answer holds, in its very bytes."""
        members = _object.decode(message)
        return cls(bytes(members.get("result", b"")), bytes(members.get("error", b"")))

    @property
    def members(self) -> dict[str, bytes]:
        """The members of the result."""
        return {key: bytes(raw) for key, raw in _object.decode(self.result).items()}

    def items(self, member: str) -> list[bytes]:
        """Return the items of a list in the result."""
        return [bytes(item) for item in _array.decode(self.members[member])]

    @property
    def outcome(self) -> str:
        """A result, a tool's `isError`, or an error."""
        if self.error:
            return "error"
        return "isError" if self.members.get("isError") == b"true" else "result"


_object: Final = msgspec.json.Decoder(dict[str, Raw])
_array: Final = msgspec.json.Decoder(list[Raw])


@attrs.frozen
class Conversation:
    """Requests to one peer, at one revision.

    Attributes:
        revision: the protocol revision.
        greeting: the answer to `initialize` or `server/discover`.
    """

    revision: str
    peer: Peer
    greeting: Answer = attrs.field(init=False)
    _ids: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def __attrs_post_init__(self) -> None:
        if self.revision == REVISION_2026:
            greeting = self.ask("server/discover")
        else:
            hello = {"protocolVersion": self.revision, "capabilities": CAPABILITIES}
            greeting = self.ask("initialize", **HELLO | hello)
            self.peer.notify({"method": "notifications/initialized"})
        object.__setattr__(self, "greeting", greeting)

    def ask(self, method: str, **params: Any) -> Answer:
        """Send a request; return its answer."""
        if self.revision == REVISION_2026:
            params["_meta"] = envelope(CAPABILITIES)
        message = {"id": next(self._ids), "method": method, "params": params}
        return Answer.of(self.peer.exchange(message))


# --- Peers -----------------------------------------------------------------------------------


@attrs.frozen
class _OnStdio:
    _pipes: StdioRouter

    def exchange(self, message: dict[str, Any]) -> bytes:
        self._pipes.send(**message)
        while True:
            came = self._pipes.read()
            if "method" not in came:
                assert came["id"] == message["id"]
                return self._pipes.lines[-1]
            if "id" in came:
                self._pipes.send(id=came["id"], error=REFUSED)

    def notify(self, message: dict[str, Any]) -> None:
        self._pipes.send(**message)


@attrs.frozen
class _OverHttp:
    _client: HttpClient

    def exchange(self, message: dict[str, Any]) -> bytes:
        status, body = self._client.post(message)
        assert status == 200, body
        return _answer_in(body, message["id"])

    def notify(self, message: dict[str, Any]) -> None:
        assert self._client.post(message)[0] == 202


@attrs.frozen
class _Over2026:
    _client: Client2026

    def exchange(self, message: dict[str, Any]) -> bytes:
        return _answer_in(self._client.post({"jsonrpc": "2.0", **message}).body, message["id"])

    def notify(self, message: dict[str, Any]) -> None:
        self._client.post({"jsonrpc": "2.0", **message})


def _answer_in(body: bytes, request_id: int) -> bytes:
    """Return the answer in a body, which is JSON or a stream of events."""
    if body.startswith(b"{"):
        return body
    lines = (
        line.removeprefix(b"data:").strip() for line in body.splitlines() if line[:5] == b"data:"
    )
    (answer,) = [line for line in lines if line and json.loads(line).get("id") == request_id]
    return answer


@contextmanager
def alone(command: Sequence[str], env: dict[str, str]) -> Iterator[Peer]:
    """Run a server on stdio; it is killed in the end, because some take their time to stop."""
    pipes = StdioRouter(command, env=os.environ | env, stderr=subprocess.DEVNULL)
    with pipes:
        yield _OnStdio(pipes)
        pipes.popen.kill()


@contextmanager
def over_http(url: str, revision: str) -> Iterator[Peer]:
    """Talk to a place of a router in the way of a revision."""
    if revision == REVISION_2026:
        yield _Over2026(Client2026(url))
        return
    client = HttpClient(url)
    yield _OverHttp(client)
    client.close()
