"""Answers of a client that is asked: as JSON, and as the callbacks of the SDK's client."""

from __future__ import annotations

from typing import Any, Final

import anyio
import mcp_types as types

LOGIN: Final = ("https://login.example.test/device?code=1", "Log in there")
FORMS: Final = {"Who are you?", "Really?"}
"""The questions of all upstreams of these tests: URL and message, and the messages of forms."""

FORM_FILLED: Final = {"action": "accept", "content": {"name": "Ada"}}
URL_VISITED: Final = {"action": "accept"}
SAMPLED: Final = {
    "role": "assistant",
    "content": {"type": "text", "text": "WHISPER"},
    "model": "shouting",
}
ROOTS: Final = {"roots": [{"uri": "file:///work", "name": "work"}]}

ALL_CAPABILITIES: Final[dict[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {},
    "roots": {},
}
"""The capabilities of a client that can be asked anything."""


def answer_to(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a question as JSON."""
    if method == "elicitation/create":
        return URL_VISITED if params.get("mode") == "url" else FORM_FILLED
    return {"sampling/createMessage": SAMPLED, "roots/list": ROOTS}[method]


async def _elicited(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    await anyio.lowlevel.checkpoint()
    if isinstance(params, types.ElicitRequestURLParams):
        assert (params.url, params.message) == LOGIN
        return types.ElicitResult.model_validate(URL_VISITED)
    assert params.message in FORMS
    return types.ElicitResult.model_validate(FORM_FILLED)


async def sample_in_capitals(
    _: Any, params: types.CreateMessageRequestParams
) -> types.CreateMessageResult:
    """Answer with the text of the only message, in capitals."""
    await anyio.lowlevel.checkpoint()
    (message,) = params.messages
    assert isinstance(message.content, types.TextContent)
    content = types.TextContent(type="text", text=message.content.text.upper())
    return types.CreateMessageResult(role="assistant", content=content, model="shouting")


async def decline(_: Any, __: Any) -> types.ElicitResult:
    """Decline a form."""
    await anyio.lowlevel.checkpoint()
    return types.ElicitResult(action="decline")


async def _rooted(_: Any) -> types.ListRootsResult:
    await anyio.lowlevel.checkpoint()
    return types.ListRootsResult.model_validate(ROOTS)


ANSWERING: Final[dict[str, Any]] = {
    "elicitation_callback": _elicited,
    "sampling_callback": sample_in_capitals,
    "list_roots_callback": _rooted,
}
"""Options of `mcp.Client` that answer every kind of question."""

DECLINING_FORMS: Final[dict[str, Any]] = {
    "elicitation_callback": decline,
    "sampling_callback": sample_in_capitals,
}
"""Options of `mcp.Client` that answer samples and decline forms."""
