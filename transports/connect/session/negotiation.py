"""Meeting an upstream: which protocol revision is spoken with it, and what it says of itself.

Job: `server/discover`, or `initialize`, or first the one and then the other. Neighbours: `session`
has this done before anything else; `questions` carries the requests.

A server that speaks 2026-07-28 is known by its answer to `server/discover` alone. Whatever else it
answers, also nothing, may be how a server of a handshake revision takes a request that it does not
know, so `initialize` follows on the same wire. Some processes even die of it, or never answer
anything again: the next one begins with `initialize` then.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.errors import UNSUPPORTED_REVISION
from router.messages.frames import Notification
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    KEY_PREFIX,
    LATEST_HANDSHAKE_REVISION,
    STATELESS_REVISION,
)
from transports.connect.session.requests import RequestRefused, in_short
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from router.messages.instance_spec import InstanceSpec
    from transports.connect.session.requests import SessionRequests
    from transports.connect.wire import Wire

log = logging.getLogger("mcp_router.upstream")

PROBE_S: Final = 5.0
"""How long a server may take to say that it speaks 2026-07-28 before it is tried with a handshake:
a process that has just been started may need that, and one that never answers costs it once."""

_EMPTY: Final = Raw(b"{}")
_WAY_OUT: Final = 'set "protocol" to "auto" for this instance, to speak an older revision with it'


@attrs.frozen
class NegotiationResult:
    """What a server said of itself.

    Attributes:
        revision: what is spoken with it.
        capabilities: by name, null where it said so.
        server_info: raw; `{}` where it did not say.
        instructions: for the model.
    """

    revision: str
    capabilities: dict[str, Raw]
    server_info: Raw
    instructions: str | None


@attrs.define(eq=False)
class ServerHistory:
    """What is remembered of a server from one incarnation to the next.

    Attributes:
        shakes_hands: it did, after it had not answered `server/discover` well.
        was_lost: before it had answered anything to `server/discover`, so perhaps because of it.
    """

    shakes_hands: bool = False
    was_lost: bool = False


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
    """The `data` of an error that says which revisions there are."""

    supported: list[str]


_initialized: Final = msgspec.json.Decoder(_Initialized)
_discovered: Final = msgspec.json.Decoder(_Discovered)


@attrs.define(eq=False)
class Negotiation:
    """The beginning of one incarnation.

    Attributes:
        spec: the instance.
        wire: is told what is spoken.
        questions: get the envelope of 2026-07-28 where that is spoken.
        version: of the router, which the upstream is told.
        past: is used and kept up to date.
    """

    spec: InstanceSpec
    wire: Wire
    questions: SessionRequests
    version: str
    past: ServerHistory
    _is_probed: bool = attrs.field(init=False, default=False)
    """Was it asked to discover itself, and has answered nothing yet?"""

    async def greet(self) -> NegotiationResult:
        """Find out what the server speaks, and agree to speak it.

        Raises:
            WireLost: the upstream does not want to, or speaks what we do not.
        """
        protocol = "legacy" if self.spec.type == "sse" else self.spec.protocol
        was_lost, self.past.was_lost = self.past.was_lost, False
        if protocol == STATELESS_REVISION:
            return self._agree(await self._insist())
        if protocol == "legacy" or was_lost or self.past.shakes_hands:
            return await self._shake_hands()
        try:
            return await self._find_out()
        except trio.Cancelled:
            # An outage says nothing of what an upstream speaks, but a process that ends does.
            self.past.was_lost = self._is_probed and self.spec.type == "stdio"
            raise

    def is_to_blame(self, lost: WireLost) -> bool:
        """Was the wire lost because of what was asked here? Then the next meeting asks less."""
        if self.past.was_lost:
            text = "%s: %s (when asked whether it speaks %s); started again, for a handshake"
            log.info(text, self.spec.name, lost, STATELESS_REVISION)
        return self.past.was_lost

    # --- Without sessions --------------------------------------------------------------------

    async def _insist(self) -> _Discovered:
        """`server/discover`, and nothing else will do."""
        try:
            discovered = await self._discover()
        except RequestRefused as refused:
            raise WireLost(f"server/discover was refused: {refused}; {_WAY_OUT}") from None
        except msgspec.MsgspecError as exc:
            said = f"server/discover was answered with something else: {exc}"
            raise WireLost(f"{said}; {_WAY_OUT}") from None
        if STATELESS_REVISION not in discovered.supportedVersions:
            spoken = _listed(discovered.supportedVersions)
            raise WireLost(f"does not speak {STATELESS_REVISION} but {spoken}; {_WAY_OUT}")
        return discovered

    async def _find_out(self) -> NegotiationResult:
        """`server/discover`, and `initialize` where that leads to nothing."""
        discovered = await self._probe()
        if discovered is not None:
            return self._agree(discovered)
        try:
            return await self._initialize()
        except RequestRefused as exc:
            refused = exc
        if STATELESS_REVISION in _supported(refused):
            # It was slow to start, and has taken the question for the beginning after all.
            discovered = await self._probe()
        if discovered is None:
            raise _unwilling(refused)
        return self._agree(discovered)

    async def _probe(self) -> _Discovered | None:
        """What it says of itself in time; None unless it speaks 2026-07-28.

        Raises:
            WireLost: it speaks only what is not spoken here.
        """
        self._is_probed = True
        discovered: _Discovered | None = None
        with trio.move_on_after(PROBE_S) as limit:
            discovered = await self._try_discover()
        self._is_probed = limit.cancelled_caught
        if discovered is None or STATELESS_REVISION not in discovered.supportedVersions:
            return None
        return discovered

    async def _try_discover(self) -> _Discovered | None:
        await trio.lowlevel.checkpoint()
        try:
            return await self._discover()
        except RequestRefused as refused:
            _check_common(refused)
        except msgspec.MsgspecError as exc:
            log.debug("%s: no answer to server/discover: %s", self.spec.name, exc)
        return None

    async def _discover(self) -> _Discovered:
        params = {"_meta": self._envelope()}
        return _discovered.decode(await self.questions.ask("server/discover", params))

    def _agree(self, discovered: _Discovered) -> NegotiationResult:
        self.wire.set_revision(STATELESS_REVISION)
        self.questions.envelope = self._envelope()
        return NegotiationResult(
            STATELESS_REVISION,
            discovered.capabilities,
            (discovered.meta or {}).get(f"{KEY_PREFIX}serverInfo", _EMPTY),
            discovered.instructions,
        )

    def _envelope(self) -> dict[str, Any]:
        """What a request of our own says of its client."""
        said = {
            "protocolVersion": STATELESS_REVISION,
            "clientCapabilities": {},
            "clientInfo": self._client_info(),
        }
        return {f"{KEY_PREFIX}{key}": value for key, value in said.items()}

    # --- With a session ----------------------------------------------------------------------

    async def _shake_hands(self) -> NegotiationResult:
        try:
            return await self._initialize()
        except RequestRefused as refused:
            self.past.shakes_hands = False
            raise _unwilling(refused) from None

    async def _initialize(self) -> NegotiationResult:
        """`initialize` and `notifications/initialized` (MCP 2025-11-25, Lifecycle).

        Raises:
            Refused: it does not want to.
            WireLost: its answer makes no sense, or speaks what we do not.
        """
        nothing: dict[str, Any] = {}
        params = {
            "protocolVersion": LATEST_HANDSHAKE_REVISION,
            "capabilities": {"roots": nothing, "sampling": nothing, "elicitation": nothing},
            "clientInfo": self._client_info(),
        }
        try:
            greeting = _initialized.decode(await self.questions.ask("initialize", params))
        except msgspec.MsgspecError as exc:
            raise WireLost(f"initialize was answered with something else: {exc}") from None
        revision = in_short(greeting.protocolVersion)
        if revision not in HANDSHAKE_REVISIONS:
            raise WireLost(f"speaks protocol revision {revision}, which is not spoken here")
        self.wire.set_revision(revision)
        await self.questions.outbox.send(Notification("notifications/initialized"))
        self._is_probed = False
        self.past.shakes_hands = True
        return NegotiationResult(
            revision, greeting.capabilities, greeting.serverInfo, greeting.instructions
        )

    def _client_info(self) -> dict[str, str]:
        return {"name": "mcp-router", "title": "MCP Router", "version": self.version}


def _supported(refused: RequestRefused) -> list[str]:
    """The revisions that an error names because ours is not supported; none for other errors."""
    if refused.code != UNSUPPORTED_REVISION:
        return []
    try:
        return msgspec.convert(refused.data, _Supported).supported
    except msgspec.ValidationError:
        return []


def _check_common(refused: RequestRefused) -> None:
    """Is there a revision that both may speak, for all that this error says?

    Raises:
        WireLost: it names others only.
    """
    supported = _supported(refused)
    if not supported or {STATELESS_REVISION, *HANDSHAKE_REVISIONS} & set(supported):
        return
    raise WireLost(f"speaks protocol revision {_listed(supported)}, which is not spoken here")


def _unwilling(refused: RequestRefused) -> WireLost:
    return WireLost(f"initialize was refused: {refused}")


def _listed(revisions: list[str]) -> str:
    return in_short(", ".join(revisions)) or "none that it names"
