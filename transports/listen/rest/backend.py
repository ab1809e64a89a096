"""The rest of the router, as the REST API uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import trio

    from router.messages.commands import Principal
    from router.messages.events import Event
    from transports.listen.rest.log_stream import Follow


def _no_members() -> dict[str, Any]:
    return {}


def _needs_no_token() -> bool:
    return False


def _is_always_known(_: Principal) -> bool:
    return True


@attrs.frozen
class RestBackend:
    """Everything that the REST API needs of the rest of the router.

    Attributes:
        inbox: the dispatch actor's.
        admit: see `RestAdmission`.
        version: of the router.
        needs_token: see `RestAdmission`.
        is_known: see `RestAdmission`.
        cors_origin: `api.cors_origin` of the settings.
        about: returns more members for `GET /`. This path is open to all, so nothing secret.
        config: returns more members for `GET /api/config`, with secrets masked. It is called for
            each request, because the configuration changes.
        follow: begins to follow the log; None if the log must not be followed.
    """

    inbox: trio.MemorySendChannel[Event]
    admit: Callable[[Mapping[str, str]], Principal]
    version: str
    needs_token: Callable[[], bool] = _needs_no_token
    is_known: Callable[[Principal], bool] = _is_always_known
    cors_origin: str = "*"
    about: Callable[[], dict[str, Any]] = _no_members
    config: Callable[[], dict[str, Any]] = _no_members
    follow: Follow | None = None
