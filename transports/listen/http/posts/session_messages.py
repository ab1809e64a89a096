"""Hands single messages of sessions to the actor, nearly always without waiting. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.events import FromClient
from router.messages.frames import Request
from transports.listen.http.posts.post_head import with_forwarded
from transports.listen.http.posts.post_response import PostResponse
from transports.listen.http.posts.routing_headers import check_revision
from transports.listen.serving.exchange import Rejected, empty_answer

if TYPE_CHECKING:
    from router.messages.frames import Frame
    from transports.listen.http.actor_inbox import ActorInbox
    from transports.listen.http.posts.post_head import PostHead
    from transports.listen.http.posts.unwatched import Unwatched
    from transports.listen.http.sessions.http_sessions import HttpSession
    from transports.listen.serving.exchange import Answer, PendingResponse


class SessionMessages:
    """The single messages of all sessions, which are of revisions before 2026-07-28.

    Args:
        inbox: takes them to the actor.
        unwatched: see `PostResponse`.
    """

    def __init__(self, inbox: ActorInbox, unwatched: Unwatched) -> None:
        self._inbox = inbox
        self._unwatched = unwatched

    async def send(
        self, frame: Frame, session: HttpSession, head: PostHead
    ) -> Answer | PendingResponse:
        """Send a message; return its response.

        Raises:
            Rejected: the session does not take this message now.
            HttpRefusal: as `ActorInbox.send`.
        """
        event, response = self._event(frame, session, head)
        try:
            await self._inbox.send(event)
        except BaseException:
            if response is not None:
                response.abandon()
            raise
        return empty_answer(202) if response is None else response

    def send_now(
        self, frame: Frame, session: HttpSession, head: PostHead
    ) -> Answer | PendingResponse | None:
        """Send a message as `send` does; None if it would have to wait, and nothing is done."""
        event, response = self._event(frame, session, head)
        is_sent = False
        try:
            is_sent = self._inbox.send_now(event)
        finally:
            if not is_sent and response is not None:
                session.finish(response)
        if not is_sent:
            return None
        return empty_answer(202) if response is None else response

    def _event(
        self, frame: Frame, session: HttpSession, head: PostHead
    ) -> tuple[FromClient, PostResponse | None]:
        if not isinstance(frame, Request):
            check_revision(head.requested, None)
            return FromClient(session.id, frame, session), None
        if frame.method == "initialize":
            raise Rejected.because(400, "This session is initialized already", frame.id)
        check_revision(head.requested, frame.id)
        response = PostResponse(session, [frame], head.accepts, self._unwatched)
        if head.forwarded is None:
            return FromClient(session.id, frame, response), response
        params = with_forwarded(None, frame, head.forwarded)
        return FromClient(session.id, frame, response, params), response
