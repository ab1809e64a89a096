"""Sends requests to the REST API of a running router, and words its refusals for a person.

Invariants: an answer is read up to a limit; a connection is closed when its request is over, also
by Ctrl+C, which cancels a call that is under way.
"""

from __future__ import annotations

import http.client
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from router.cli.rest_api.rest_client import (
    ANSWER_LIMIT_BYTES,
    ANSWER_S,
    NO_ROUTER,
    OTHER_PORT,
    NotReached,
    no_answer,
    open_connection,
    refusal,
)
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from router.cli.rest_api.rest_client import RestApi

START_S: Final = 200.0
"""How long a router may take to have an instance ready; it gives up itself before that."""

CALL_S: Final = 24 * 3600.0
"""How long a call may be silent: the router keeps its time, and sends a comment every 15 s."""


class Refused(ConfigError):
    """The router answered with an error.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, place: str, problem: str, status: int) -> None:
        super().__init__(place, problem)
        self.status = status

    def __str__(self) -> str:
        return self.problem


def route(*steps: str) -> str:
    """Return the path of a route, such as `/api/tools/files`."""
    return "/api/" + "/".join(quote(step, safe="", errors="replace") for step in steps)


def get_json(api: RestApi, target: str) -> Any:
    """Return the decoded answer to a GET; see `ask`."""
    return ask(api, "GET", target)


def ask(api: RestApi, method: str, target: str, body: Any = None, **sent: Any) -> Any:
    """Send a request and return the decoded answer; `sent` is as in `open_answer`. Blocks.

    Raises:
        NotReached: nobody answers there.
        Refused: the router refuses.
        ConfigError: it is no MCP Router.
    """
    data = ask_bytes(api, method, target, body, **sent)
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError:
        raise ConfigError(api.place, NO_ROUTER) from None


def ask_bytes(api: RestApi, method: str, target: str, body: Any = None, **sent: Any) -> bytes:
    """Send a request and return the answer as it came; see `ask`."""
    with open_answer(api, method, target, body, **sent) as response:
        return response.read(ANSWER_LIMIT_BYTES)


@contextmanager
def open_answer(
    api: RestApi,
    method: str,
    target: str,
    body: Any = None,
    *,
    timeout_s: float = ANSWER_S,
    accept: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Generator[http.client.HTTPResponse]:
    """Send a request, and yield the answer once its head is there; see `ask`."""
    headers = {**api.headers, "Accept": accept, **(headers or {})}
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers["Content-Type"] = "application/json"
    try:
        with closing(open_connection(api, timeout_s)) as connection:
            try:
                connection.connect()
            except OSError as exc:
                raise NotReached(api.place, no_answer(api, exc)) from None
            # A router that refuses a large body says so, and does not read all of it.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, api.target(target), data, headers)
            with connection.getresponse() as response:
                if not 200 <= response.status < 300:
                    raise _refused(api, response)
                yield response
    # A ValueError is a token that no header can hold.
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise ConfigError(api.place, no_answer(api, exc)) from None


def _refused(api: RestApi, response: http.client.HTTPResponse) -> ConfigError:
    body = response.read(ANSWER_LIMIT_BYTES)
    if not body.startswith(b"{"):
        return ConfigError(api.place, f"answered {response.status}. {NO_ROUTER}; {OTHER_PORT}")
    return refused(api, response.status, body)


def refused(api: RestApi, status: int, body: bytes) -> Refused:
    """Return the error for an answer that is one."""
    problem = refusal(status, body)
    with suppress(msgspec.MsgspecError):
        found = msgspec.json.decode(body, type=_Mistakes).detail
        problem = "; ".join(f"{'.'.join(map(str, one.loc))}: {one.msg}" for one in found)
    return Refused(api.place, problem.removeprefix(f"answered {status}: "), status)


class _Mistake(msgspec.Struct):
    msg: str
    loc: list[str | int] = []


class _Mistakes(msgspec.Struct):
    detail: list[_Mistake]
