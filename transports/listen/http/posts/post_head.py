"""The conclusions from the head of a POST: all that does not depend on its body. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from router.messages.frames import Request
from router.messages.params import Params

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from router.messages.commands import Principal
    from router.messages.frames import Frame
    from transports.listen.http.sessions.http_sessions import HttpSession
    from transports.listen.serving.exchange import Accepts


class PostHead(Struct, frozen=True):
    """The meaning of a head, as long as the rules of admission stay and its session lives.

    Attributes:
        principal: the sender.
        view: the name of the view at its place; None at the default place.
        accepts: the kinds of response that the client takes.
        requested: the protocol revision that the client speaks; None if it does not say.
        session: the session that it names; None if it names none, or is of 2026-07-28.
        forwarded: its headers that some instance forwards; None for nothing.
    """

    principal: Principal
    view: str | None
    accepts: Accepts
    requested: str | None
    session: HttpSession | None
    forwarded: dict[str, str] | None = None


def forwarded_of(headers: Mapping[str, str], names: Collection[str]) -> dict[str, str] | None:
    """Return those headers that some instance forwards; None for nothing.

    Args:
        headers: of a request, names in lower case.
        names: of the headers that some instance forwards.
    """
    if not names:
        return None
    # Others could not be sent again as they came.
    return {name: headers[name] for name in names if headers.get(name, "\xa0").isascii()} or None


def with_forwarded(
    params: Params | None, message: Frame, forwarded: dict[str, str] | None
) -> Params | None:
    """Return the `params` of a message, with headers to be forwarded if it is a request.

    Args:
        params: those that were read already, if any.
        message: the message.
        forwarded: as `forwarded_of` returns them.
    """
    if forwarded is None or not isinstance(message, Request):
        return params
    params = params or Params(message.params)
    params.forwarded = forwarded
    return params
