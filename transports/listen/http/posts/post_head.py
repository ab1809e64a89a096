"""The conclusions from the head of a POST: all that does not depend on its body. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from router.messages.commands import FOREVER, TokenLifetime
from transports.listen.serving.exchange import require_events

if TYPE_CHECKING:
    from router.messages.commands import Principal
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
        lifetime: for how long its token holds.
        person: the sender again, if it is a person, who may do something else now than when the
            session was opened; see `FromClient.principal`.
    """

    principal: Principal
    view: str | None
    accepts: Accepts
    requested: str | None
    session: HttpSession | None
    lifetime: TokenLifetime = FOREVER
    person: Principal | None = None

    def for_events(self) -> PostHead:
        """Return the head of a request whose response can be nothing but an event stream.

        Raises:
            HttpRefusal: 406, the client does not take event streams.
        """
        return replace(self, accepts=require_events(self.accepts))

    def sent_by(self, principal: Principal) -> PostHead:
        """Return this head, as a head of this sender."""
        return replace(self, principal=principal, person=person_in(principal))


def person_in(principal: Principal) -> Principal | None:
    """Return a principal that is a person; None for any other."""
    return principal if principal.is_of_issuer else None
