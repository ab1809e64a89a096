"""The router's own requests to an upstream, and the answers to them.

Job: number requests and bring each answer to who waits for it. Neighbours: `session` sends what
this puts into its inbox and hands in the answers; `catalog` asks for lists.

Invariants: the ids are odd (those of the dispatch actor are even). An answer that is not waited
for, or comes a second time, is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import trio
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from router.messages.frames import Frame

SHOWN: Final = 300
"""Characters of what an upstream said that go into a reason or a log line."""

encode: Final = msgspec.json.encode
_error: Final = msgspec.json.Decoder(dict[str, Any])


@attrs.frozen
class RequestRefused(Exception):
    """A request was answered with an error, or with what is no answer to it.

    Attributes:
        reason: what the upstream said, in one line.
        code: of the error, 0 where it has none.
        data: of the error.
    """

    reason: str
    code: int = 0
    data: Any = None

    def __str__(self) -> str:
        return self.reason


@attrs.define(eq=False)
class _Question:
    answer: Response | ErrorResponse | None = None
    answered: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class SessionRequests:
    """The requests of one incarnation.

    Attributes:
        outbox: what is put there is sent to the upstream.
        envelope: what each request says of its client (MCP 2026-07-28, Per-request protocol
            fields); None with a handshake, which has said it once and for all.
    """

    outbox: trio.MemorySendChannel[Frame]
    envelope: dict[str, Any] | None = None
    _open: dict[int, _Question] = attrs.field(init=False, factory=dict[int, _Question])
    _next_id: int = attrs.field(init=False, default=1)

    async def ask(self, method: str, params: dict[str, Any]) -> Raw:
        """Send a request and wait for its result. Cancelling that cancels it upstream too.

        Raises:
            Refused: the answer is an error.
        """
        request_id, self._next_id = self._next_id, self._next_id + 2
        if self.envelope is not None:
            params = params | {"_meta": self.envelope}
        question = self._open[request_id] = _Question()
        try:
            await self.outbox.send(Request(request_id, method, Raw(encode(params))))
            await question.answered.wait()
        except trio.Cancelled:
            self._withdraw(request_id)
            raise
        finally:
            del self._open[request_id]
        if isinstance(question.answer, Response):
            return question.answer.result
        raise _refused(question.answer)

    def answered(self, answer: Response | ErrorResponse) -> bool:
        """Take an answer if it is one to a request of ours, as its odd id says."""
        if not isinstance(answer.id, int) or answer.id % 2 == 0:
            return False
        question = self._open.get(answer.id)
        if question is not None and question.answer is None:
            question.answer = answer
            question.answered.set()
        return True

    def _withdraw(self, request_id: int) -> None:
        cancelled = {"requestId": request_id, "reason": "It takes too long"}
        say(self.outbox, Notification("notifications/cancelled", Raw(encode(cancelled))))


def say(outbox: trio.MemorySendChannel[Frame], frame: Frame) -> None:
    """Send what may be lost: it is dropped when the upstream does not keep up."""
    try:
        outbox.send_nowait(frame)
    except trio.WouldBlock:
        return


def _refused(answer: ErrorResponse | None) -> RequestRefused:
    """What an error says, whatever it looks like."""
    raw = b"" if answer is None else bytes(answer.error)
    try:
        error = _error.decode(raw)
        text = str(error["message"])
    except (msgspec.MsgspecError, KeyError):
        return RequestRefused(in_short(raw.decode(errors="replace")))
    code = error.get("code")
    return RequestRefused(in_short(text), code if isinstance(code, int) else 0, error.get("data"))


def in_short(text: str) -> str:
    """The text in one line, cut before the word in which it gets longer than `SHOWN`.

    Half a secret would pass by whoever masks whole ones.
    """
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN + 1].rpartition(' ')[0]}…"
