"""The routes of pinned tools: what differs from what was approved, and approvals.

Invariant: an approval names the digests that were shown, so nobody approves what they did not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import trio
from msgspec import Meta, Struct

from router.messages.commands import ApproveTools, ShowPins
from router.messages.instances.instance_spec import CLIENT_MARK
from transports.listen.rest.bodies import DoesNotFit, NotJson, check_name
from transports.listen.rest.responses import json_response, request_body

if TYPE_CHECKING:
    from quart import Response
    from quart_trio import QuartTrio

    from transports.listen.rest.backend import RestBackend
    from transports.listen.rest.responses import RequestActor


class _Approval(Struct):
    tools: Annotated[dict[str, str | None], Meta(min_length=1)]


_decoder: Final = msgspec.json.Decoder(_Approval)


def add_pin_routes(app: QuartTrio, backend: RestBackend, actor: RequestActor) -> None:
    """Add the routes."""

    @app.get("/api/pins")
    async def pins() -> Response:
        found = await actor.ask(ShowPins())
        # In a thread: there may be thousands of tools to compare.
        return json_response(await trio.to_thread.run_sync(backend.review_pins, found))

    @app.post("/api/instances/<name>/tools/approve")
    async def approve(name: str) -> Response:
        tools = _read_approval(await request_body())
        # The name of a person, which may be long, follows that of the instance (`getPins`).
        check_name(name.partition(CLIENT_MARK)[0])
        instance = await actor.ask(ApproveTools(name, tools))
        return json_response({"status": "success", "instance": instance, "approved": list(tools)})


def _read_approval(body: bytes) -> dict[str, str | None]:
    """Return the tools to approve, each with the digest that was shown.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: it does not name tools with digests.
    """
    try:
        return _decoder.decode(body).tools
    except msgspec.ValidationError as exc:
        problem = f'expected {{"tools": {{"NAME": "SHA-256 or null"}}}}: {exc}'
        raise DoesNotFit(("body",), problem) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotJson(f"The body is not JSON: {exc}") from None
