"""Decides which protocol revision is spoken with an upstream, before anything else is said.

There are two eras. A server of 2026-07-28 answers `server/discover` and has no sessions; a server
of an older revision begins a session with `initialize`.

Only its answer to `server/discover` shows that a server speaks 2026-07-28. Any other answer, and
also silence, may be how an older server takes a request that it does not know, so `initialize`
follows on the same wire. A process that is silent may only be slow to start. So the question stays
open beside `initialize`, and the first of the two answers decides: a process reads one message
after the other. Some processes even die of `server/discover`, or never answer anything again: their
next incarnation begins with `initialize`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
import trio.lowlevel
from msgspec import Raw, Struct

from router.messages.errors import UNSUPPORTED_REVISION
from router.messages.frames import Notification
from router.messages.observability.log_fields import about
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    KEY_PREFIX,
    LATEST_HANDSHAKE_REVISION,
    STATELESS_REVISION,
)
from transports.connect.session.requests import RequestRefused, shorten
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.session.requests import OpenRequest, SessionRequests
    from transports.connect.session.server_history import ServerHistory
    from transports.connect.wire import Wire

log = logging.getLogger("mcp_router.upstream")

PROBE_S: Final = 5.0
"""Time for the answer of a process to `server/discover`, before `initialize` goes out beside it. A
server that never answers costs this time once."""

REMOTE_PROBE_S: Final = 20.0
"""The same for a remote server, of which the two requests may reach different processes. So the
question is given up before `initialize`, and a server that has to be woken gets time for that."""

_EMPTY: Final = Raw(b"{}")
_OF_ANY_CLIENT: Final = {"roots": _EMPTY, "sampling": _EMPTY, "elicitation": _EMPTY}
"""The capabilities of a session that clients share: each request is refused by client."""
_WAY_OUT: Final = 'set "protocol" to "auto" for this instance, to speak an older revision with it'


class NegotiationResult(Struct, frozen=True):
    """The revision that is spoken, and the server's description of itself.

    Attributes:
        revision: the protocol revision.
        capabilities: the raw capabilities by name; a value may be null.
        server_info: raw; `{}` if the server did not send it.
        instructions: the server's instructions for the model.
    """

    revision: str
    capabilities: dict[str, Raw]
    server_info: Raw
    instructions: str | None


class _Initialized(Struct, gc=False):
    """The result of `initialize` (MCP 2025-11-25, Lifecycle)."""

    protocolVersion: str
    capabilities: dict[str, Raw]
    serverInfo: Raw = _EMPTY
    instructions: str | None = None


class _Discovered(Struct, gc=False):
    """The result of `server/discover` (MCP 2026-07-28, Discovery)."""

    supportedVersions: list[str]
    capabilities: dict[str, Raw]
    instructions: str | None = None
    meta: dict[str, Raw] | None = msgspec.field(default=None, name="_meta")


class _Supported(Struct, gc=False):
    """The `data` of an error that names the revisions of the server."""

    supported: list[str]


_initialized: Final = msgspec.json.Decoder(_Initialized)
_discovered: Final = msgspec.json.Decoder(_Discovered)


class Negotiation(Struct, eq=False):
    """The negotiation of one incarnation.

    Attributes:
        spec: the instance.
        wire: learns the revision.
        requests: learn the `_meta` of their requests if 2026-07-28 is spoken.
        version: the version of the router, which the upstream is told.
        history: is read here and kept up to date.
    """

    spec: InstanceSpec
    wire: Wire
    requests: SessionRequests
    version: str
    history: ServerHistory
    _is_probe_unanswered: bool = False

    # --- The decision ------------------------------------------------------------------------

    async def negotiate(self) -> NegotiationResult:
        """Find out what the server speaks, and agree on it.

        Raises:
            WireLost: the upstream refuses, or speaks no revision that the router speaks.
        """
        # HTTP+SSE is older than 2026-07-28, which has no such transport.
        protocol = "legacy" if self.spec.type == "sse" else self.spec.protocol
        history = self.history
        was_lost_to_probe, history.was_lost_to_probe = history.was_lost_to_probe, False
        # 1. The instance insists on 2026-07-28: `server/discover` must succeed.
        if protocol == STATELESS_REVISION:
            return await self._discover_only()
        # 2. The instance, or the history of its server, asks for `initialize` alone.
        if protocol == "legacy" or was_lost_to_probe or history.has_initialized:
            history.dies_either_way |= was_lost_to_probe  # until it is ready for once
            return await self._initialize_only()
        # 3. Nothing is known: `server/discover` first, `initialize` if that leads to nothing.
        try:
            return await self._discover_or_initialize()
        except trio.Cancelled:
            # A process that ends may have died of the probe, if it never answered one. A remote
            # server that is out of reach says nothing about the revisions it speaks.
            if self._is_probe_unanswered and self._is_process:
                history.was_lost_to_probe = not history.has_discovered
                history.has_discovered = False
            raise

    @property
    def _is_process(self) -> bool:
        return self.spec.type == "stdio"

    def may_retry_without_probe(self, lost: WireLost) -> bool:
        """Return whether to start the server again at once; log it in that case.

        That is so if the wire was lost because of `server/discover`, as far as is known.
        """
        if lost.is_from_outside:
            self.history.was_lost_to_probe = False  # so the next incarnation probes again
        may_retry = self.history.was_lost_to_probe and not self.history.dies_either_way
        if may_retry:
            text = "%s: %s (when asked whether it speaks %s); started again, for a handshake"
            name = self.spec.name
            log.info(text, name, lost, STATELESS_REVISION, extra=about(name))
        return may_retry

    async def _discover_only(self) -> NegotiationResult:
        try:
            discovered = await self._discover()
        except RequestRefused as refused:
            raise WireLost(f"server/discover was refused: {refused}; {_WAY_OUT}") from None
        except msgspec.MsgspecError as exc:
            reason = f"server/discover was answered with something else: {exc}"
            raise WireLost(f"{reason}; {_WAY_OUT}") from None
        if STATELESS_REVISION not in discovered.supportedVersions:
            spoken = _join_revisions(discovered.supportedVersions)
            raise WireLost(f"does not speak {STATELESS_REVISION} but {spoken}; {_WAY_OUT}")
        return self._agree_stateless(discovered)

    async def _initialize_only(self) -> NegotiationResult:
        try:
            return await self._initialize()
        except RequestRefused as refused:
            self.history.has_initialized = False  # so the next incarnation probes again
            raise _initialize_refused(refused) from None

    async def _discover_or_initialize(self) -> NegotiationResult:
        self._is_probe_unanswered = True
        self.wire.set_probing(True)
        probe = await self.requests.open("server/discover", {"_meta": self._client_meta()})
        try:
            # 1. The server says that it speaks 2026-07-28.
            with trio.move_on_after(PROBE_S if self._is_process else REMOTE_PROBE_S):
                await probe.answered.wait()
            if not (probe.is_answered or self._is_process):
                self.requests.cancel(probe)
            discovered = await self._read_probe(probe)
            # 2. It says anything else, or nothing in time: it may be of the older era, or slow.
            if discovered is None:
                answer = await self._initialize_beside(probe)
                if isinstance(answer, NegotiationResult):
                    return answer
                discovered = answer
            return self._agree_stateless(discovered)
        finally:
            self.requests.cancel(probe)

    async def _initialize_beside(self, probe: OpenRequest) -> NegotiationResult | _Discovered:
        """Send `initialize`; return what comes of it, or the late answer to `server/discover`.

        Raises:
            WireLost: the upstream refuses both.
        """
        initialize = await self._open_initialize()
        try:
            discovered = await self._first_answer(initialize, probe)
            return discovered or await self._read_initialized(initialize)
        except RequestRefused as exc:
            refused = exc
        finally:
            self.requests.forget(initialize)
        # It refuses `initialize` in favour of 2026-07-28: it was too slow for the first question.
        if STATELESS_REVISION in _supported_revisions(refused):
            self.requests.cancel(probe)
            with trio.move_on_after(PROBE_S):
                probe = await self.requests.open("server/discover", {"_meta": self._client_meta()})
                await probe.answered.wait()
            self.requests.cancel(probe)
            discovered = await self._read_probe(probe)
            if discovered is not None:
                return discovered
        raise _initialize_refused(refused)

    async def _first_answer(
        self, initialize: OpenRequest, probe: OpenRequest
    ) -> _Discovered | None:
        """Wait for the answer to `initialize`, unless an open `server/discover` succeeds first."""
        if self._is_process and not probe.is_answered:
            await self.requests.wait_for_any(initialize, probe)
            discovered = await self._read_probe(probe)
            if discovered is not None:
                return discovered
        await initialize.answered.wait()
        return None

    async def _read_probe(self, probe: OpenRequest) -> _Discovered | None:
        """Return the answer to `server/discover` if it came and names 2026-07-28.

        Raises:
            WireLost: the answer is an error that names only revisions unknown to the router.
        """
        await trio.lowlevel.checkpoint()
        if not probe.is_answered:
            return None
        self._is_probe_unanswered = False
        self.wire.set_probing(False)
        discovered: _Discovered | None = None
        try:
            discovered = await self._read_discovered(probe)
        except RequestRefused as refused:
            supported = _supported_revisions(refused)
            if supported and not {STATELESS_REVISION, *HANDSHAKE_REVISIONS} & set(supported):
                raise _unknown_revision(_join_revisions(supported)) from None
        except msgspec.MsgspecError as exc:
            text, name = "%s: no answer to server/discover: %s", self.spec.name
            log.debug(text, name, exc, extra=about(name))
        if discovered is None or STATELESS_REVISION not in discovered.supportedVersions:
            return None
        return discovered

    # --- Without a session: MCP 2026-07-28 ---------------------------------------------------

    async def _discover(self) -> _Discovered:
        """Send `server/discover` and wait for its result; see `_read_discovered`."""
        request = await self.requests.open("server/discover", {"_meta": self._client_meta()})
        try:
            await request.answered.wait()
            return await self._read_discovered(request)
        finally:
            self.requests.cancel(request)

    async def _read_discovered(self, answered: OpenRequest) -> _Discovered:
        """Read a result; ask once more if it was refused in favour of the revision it names.

        One of several servers behind an address may be older (MCP 2026-07-28, Transports, Protocol
        Version Header: a client tries a supported version).

        Raises:
            RequestRefused: the upstream answers with an error.
            msgspec.MsgspecError: it answers with something else.
        """
        await trio.lowlevel.checkpoint()
        try:
            return _discovered.decode(answered.result())
        except RequestRefused as exc:
            refused = exc
        if STATELESS_REVISION in _supported_revisions(refused):
            params = {"_meta": self._client_meta()}
            with trio.move_on_after(REMOTE_PROBE_S):
                result = await self.requests.send_request("server/discover", params)
                return _discovered.decode(result)
        raise refused

    def _agree_stateless(self, discovered: _Discovered) -> NegotiationResult:
        self.wire.set_revision(STATELESS_REVISION)
        self.history.has_discovered, self.history.dies_either_way = True, False
        self.requests.client_meta = self._client_meta()
        return NegotiationResult(
            STATELESS_REVISION,
            discovered.capabilities,
            (discovered.meta or {}).get(f"{KEY_PREFIX}serverInfo", _EMPTY),
            discovered.instructions,
        )

    def _client_meta(self) -> dict[str, Any]:
        """Return the `_meta` of a request of the router's own."""
        fields = {
            "protocolVersion": STATELESS_REVISION,
            "clientCapabilities": {},
            "clientInfo": self._client_info(),
        }
        return {f"{KEY_PREFIX}{key}": value for key, value in fields.items()}

    # --- With a session: the handshake of the older revisions --------------------------------

    async def _initialize(self) -> NegotiationResult:
        """Send `initialize`, and begin a session with its result; see `_read_initialized`."""
        request = await self._open_initialize()
        try:
            await request.answered.wait()
            return await self._read_initialized(request)
        finally:
            self.requests.forget(request)  # It must not be cancelled (MCP 2025-11-25).

    async def _open_initialize(self) -> OpenRequest:
        client = self.spec.client
        params: dict[str, Any] = {
            "protocolVersion": LATEST_HANDSHAKE_REVISION,
            "capabilities": _OF_ANY_CLIENT if client is None else client.capabilities,
            "clientInfo": (client.info if client else None) or self._client_info(),
        }
        return await self.requests.open("initialize", params)

    async def _read_initialized(self, answered: OpenRequest) -> NegotiationResult:
        """Begin a session with `notifications/initialized` (MCP 2025-11-25, Lifecycle).

        Raises:
            RequestRefused: the upstream answered `initialize` with an error.
            WireLost: its answer makes no sense, or names a revision unknown to the router.
        """
        try:
            result = _initialized.decode(answered.result())
        except msgspec.MsgspecError as exc:
            raise WireLost(f"initialize was answered with something else: {exc}") from None
        revision = shorten(result.protocolVersion)
        if revision not in HANDSHAKE_REVISIONS:
            raise _unknown_revision(revision)
        self.wire.set_revision(revision)
        await self.requests.outbox.put(Notification("notifications/initialized"))
        self._is_probe_unanswered = False
        self.history.has_initialized, self.history.dies_either_way = True, False
        return NegotiationResult(
            revision, result.capabilities, result.serverInfo, result.instructions
        )

    def _client_info(self) -> dict[str, str]:
        return {"name": "mcp-router", "title": "MCP Router", "version": self.version}


def _supported_revisions(refused: RequestRefused) -> list[str]:
    """Return the revisions that an "unsupported revision" error names; none for other errors."""
    if refused.code != UNSUPPORTED_REVISION:
        return []
    try:
        return msgspec.convert(refused.data, _Supported).supported
    except msgspec.ValidationError:
        return []


def _initialize_refused(refused: RequestRefused) -> WireLost:
    return WireLost(f"initialize was refused: {refused}")


def _unknown_revision(revisions: str) -> WireLost:
    return WireLost(f"speaks protocol revision {revisions}, which is not spoken here")


def _join_revisions(revisions: list[str]) -> str:
    return shorten(", ".join(revisions)) or "none that it names"
