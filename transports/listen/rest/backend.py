"""The rest of the router, as the REST API uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
from msgspec import Struct, field

from router.messages.commands import forever
from router.messages.errors import INSTANCE_NOT_FOUND, NOT_ALLOWED, RpcError
from transports.listen.rest.metric_sources import MetricSources
from transports.listen.serving.refusals import is_never_draining

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.messages.commands import Asker, Principal, TokenLifetime
    from router.messages.errors import HttpRefusal
    from router.messages.events import Event
    from router.messages.observability.records import Record
    from transports.listen.rest.log_stream import Follow


_NO_LOGINS: Final = "This router logs in to no server"


def _no_members() -> dict[str, Any]:
    return {}


def _no_entry(_name: str) -> dict[str, Any] | None:
    return None


def _needs_no_token() -> bool:
    return False


def _keep_nothing(_: Record) -> None:
    pass


def _is_always_known(_: Principal) -> bool:
    return True


def report_nothing(_address: str, _path: str, _refusal: HttpRefusal) -> None:
    """Do nothing, while nobody reports refused requests."""


def _shows_no_pins(_: Any) -> dict[str, Any]:
    return {"pinning": "off", "problem": None, "tools": [], "flags": []}


class Profiles(Protocol):
    """The profiles in force, and changes of them; see `router.reload.profile_store`."""

    def rows(self) -> list[dict[str, Any]]:
        """Return all profiles with all their keys and `name`."""
        ...

    def row(self, name: str, /) -> dict[str, Any]:
        """Return one of `rows`, or raise `RpcError`."""
        ...

    async def put(self, name: str, value: dict[str, Any], /) -> bool:
        """Add or replace a profile; return True if it is new, or raise `RpcError`."""
        ...

    async def remove(self, name: str, /) -> None:
        """Remove a profile, or raise `RpcError`."""
        ...


class Browsers(Protocol):
    """The browsers that have logged in; see `router.oauth.browser`."""

    def admit(self, method: str, headers: Mapping[str, str], /) -> Principal | None:
        """Return the principal of a request with the cookie of a login; None without one.

        The method is empty for a WebSocket.

        Raises:
            HttpRefusal: 403, the request does not come from a page of this router.
        """
        ...

    def is_known(self, principal: Principal, /) -> bool:
        """Return whether exactly this principal is logged in."""
        ...


class FixedProfiles:
    """No profiles, and no file to write any to."""

    def rows(self) -> list[dict[str, Any]]:
        return []

    def row(self, name: str, /) -> dict[str, Any]:
        raise RpcError(INSTANCE_NOT_FOUND, f"Profile not found: {name}")

    async def put(self, _name: str, _value: dict[str, Any], /) -> bool:
        raise RpcError(NOT_ALLOWED, "Profiles cannot be changed here")

    async def remove(self, name: str, /) -> None:
        self.row(name)


class Logins(Protocol):
    """Begins and ends logins of instances; see `router.app.logins.instance_logins`.

    Each function raises `RpcError`, and checks what its asker may do. `name` is that of an
    instance that the asker sees; `person` is empty for the asker.
    """

    async def begin(
        self, asker: Asker, name: str, /, *, redirect_uri: str = "", person: str = ""
    ) -> dict[str, Any]:
        """Begin a login in a browser; return what is needed to go on."""
        ...

    async def begin_device(self, asker: Asker, name: str, /, *, person: str = "") -> dict[str, Any]:
        """Begin a login on another device; return what is needed to go on."""
        ...

    async def state(
        self, asker: Asker, name: str, /, *, person: str = "", wait: bool = False
    ) -> dict[str, Any]:
        """Return how it is with a login, at once or when the last one that has begun is over."""
        ...

    async def finish(self, asker: Asker, name: str, callback: str, /) -> dict[str, Any]:
        """Finish a login with the URL that a browser came back to; return `state` then."""
        ...

    async def log_out(self, asker: Asker, name: str, /, *, person: str = "") -> bool:
        """Forget a login; return False if there was none."""
        ...


class NoLogins:
    """No logins: each function refuses."""

    async def begin(
        self, _asker: Asker, _name: str, /, *, redirect_uri: str = "", person: str = ""
    ) -> dict[str, Any]:
        return await _refuse()

    async def begin_device(
        self, _asker: Asker, _name: str, /, *, person: str = ""
    ) -> dict[str, Any]:
        return await _refuse()

    async def state(
        self, _asker: Asker, _name: str, /, *, person: str = "", wait: bool = False
    ) -> dict[str, Any]:
        return await _refuse()

    async def finish(self, _asker: Asker, _name: str, _callback: str, /) -> dict[str, Any]:
        return await _refuse()

    async def log_out(self, _asker: Asker, _name: str, /, *, person: str = "") -> bool:
        await _refuse()
        return False


async def _refuse() -> dict[str, Any]:
    await trio.lowlevel.checkpoint()
    raise RpcError(NOT_ALLOWED, _NO_LOGINS)


class RestBackend(Struct, frozen=True):
    """Everything that the REST API needs of the rest of the router.

    Attributes:
        inbox: the dispatch actor's.
        admit: see `RestAdmission`.
        version: of the router.
        needs_token: see `RestAdmission`.
        is_known: see `RestAdmission`.
        has_open_paths: see `RestAdmission`.
        refused: see `RestAdmission`.
        lifetime_of: see `RestAdmission`.
        browsers: see `RestAdmission`.
        cors_origin: `api.cors_origin` of the settings.
        about: returns more members for `GET /`. This path is open to all, so nothing secret.
        config: returns more members for `GET /api/config`, with secrets masked. It is called for
            each request, because the configuration changes.
        entry: returns the configuration in force of an instance, with secrets masked; None if
            there is none of this name.
        profiles: the profiles of `config.json`.
        review_pins: returns what `GET /api/pins` shows of the answer to `ShowPins`. It takes long,
            so it is for a worker thread.
        logins: the logins to remote servers.
        follow: begins to follow the log; None if the log must not be followed.
        write_record: hands a record of a change to those who keep it; it neither waits nor fails.
        metrics: the numbers of the rest of the router, for `/metrics`.
        is_draining: returns whether the router finishes the calls in flight and takes no new ones.
    """

    inbox: trio.MemorySendChannel[Event]
    admit: Callable[[Mapping[str, str], str], Principal]
    version: str
    needs_token: Callable[[], bool] = _needs_no_token
    is_known: Callable[[Principal], bool] = _is_always_known
    has_open_paths: bool = True
    refused: Callable[[str, str, HttpRefusal], None] = report_nothing
    lifetime_of: Callable[[Mapping[str, str]], TokenLifetime] = forever
    browsers: Browsers | None = None
    cors_origin: str = "*"
    about: Callable[[], dict[str, Any]] = _no_members
    config: Callable[[], dict[str, Any]] = _no_members
    entry: Callable[[str], dict[str, Any] | None] = _no_entry
    profiles: Profiles = field(default_factory=FixedProfiles)
    review_pins: Callable[[Any], dict[str, Any]] = _shows_no_pins
    logins: Logins = field(default_factory=NoLogins)
    follow: Follow | None = None
    write_record: Callable[[Record], None] = _keep_nothing
    metrics: MetricSources = field(default_factory=MetricSources)
    is_draining: Callable[[], bool] = is_never_draining
