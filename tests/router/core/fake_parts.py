"""Stand-ins for what the core is given at its start: a seal and a tracer."""

from itertools import count
from typing import TYPE_CHECKING

from attrs import define, field
from msgspec.structs import replace

from router.messages.observability.records import TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterator


@define(eq=False)
class FakeSeal:
    """Keeps the secrets it sealed, and hands out numbers in their place."""

    sealed: dict[str, tuple[bytes, bytes]] = field(factory=dict[str, tuple[bytes, bytes]])

    def seal(self, secret: bytes, context: bytes) -> str:
        key = f"sealed-{len(self.sealed)}"
        self.sealed[key] = (secret, context)
        return key

    def unseal(self, sealed: str, context: bytes) -> bytes:
        secret, wanted = self.sealed.get(sealed, (b"", None))
        if context != wanted:
            raise ValueError(sealed)
        return secret


@define(eq=False)
class FakeTracer:
    """Numbers spans, and the traces that begin here; what the client samples is sampled."""

    is_on: bool = True
    _numbers: "Iterator[int]" = field(factory=lambda: count(1))

    def begin(self, parent: TraceContext | None, /) -> TraceContext | None:
        if not self.is_on:
            return None
        number = next(self._numbers)
        span_id = f"{number:016x}"
        if parent is None:
            return TraceContext(f"{number:032x}", span_id)
        return replace(parent, span_id=span_id, parent_id=parent.span_id)
