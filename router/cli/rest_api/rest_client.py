"""Reaches the REST API of a running router, for the commands that ask one.

The API is behind a URL, or behind the local socket of a router of this user, which needs no token;
where there are no Unix sockets, behind its local port, whose token is in a file.

Invariants:

- The token goes in a header, never in a URL.
- Text that comes from a router is data: errors escape what does not print, so that an answer can
  neither forge lines nor move the cursor.
"""

from __future__ import annotations

import http.client
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import attrs
import msgspec

from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from router.config.settings import Settings

ANSWER_S: Final = 10.0
"""How long a router may take to answer; it answers from memory."""

ANSWER_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Far more than thousands of instances take."""

GIVE_TOKEN: Final = "Give --token, or set $MCP_ROUTER_TOKEN"

OTHER_PORT: Final = (
    "where api.port was taken, the router has another, which its log names: give it with --url"
)

NO_ROUTER: Final = "what answers there is no MCP Router"

_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}
"""Where this machine reaches a router that listens on every address."""


class NotReached(ConfigError):
    """Nobody listens where the router would be."""


def _split_url(api: RestApi) -> SplitResult:
    try:
        parts = urlsplit(api.url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ConfigError("--url", f"expected a URL such as http://127.0.0.1:8001, got {api.url}")


@attrs.frozen
class RestApi:
    """The REST API of one router.

    Attributes:
        url: the base URL, such as `http://127.0.0.1:8001`; errors name the router by this text.
        token: the bearer token to send; empty for none.
        socket: the path of the Unix socket on which the router is reached; empty for one behind
            `url`.
        is_local: it is behind the local socket or port.
        parts: the same URL, split.

    Raises:
        ConfigError: `url` is no HTTP URL.
    """

    url: str
    token: str = attrs.field(default="", repr=False)
    socket: str = ""
    is_local: bool = False
    parts: SplitResult = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_split_url, takes_self=True)
    )

    @classmethod
    def from_settings(cls, settings: Settings, token: str = "") -> RestApi:
        """Return the API of a router that runs on this machine with these settings.

        Args:
            settings: those of the router.
            token: sent in place of the one in the settings, if not empty. Settings that keep
                only a digest of their token have none to send.
        """
        host = _REACHED_AT.get(settings.api.host, settings.api.host)
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"  # RFC 3986 section 3.2.2
        configured = settings.security.bearer_token
        if not token and not configured.startswith("sha256:"):
            token = configured
        return cls(f"http://{host}:{settings.api.port}", token)

    @classmethod
    def at_socket(cls, path: Path) -> RestApi:
        """Return the API of a router behind its local socket."""
        return cls("http://localhost", socket=str(path), is_local=True)

    @property
    def place(self) -> str:
        """The router's place in the text of an error."""
        return self.socket or self.url

    @property
    def is_secure(self) -> bool:
        return self.parts.scheme == "https"

    @property
    def authority(self) -> str:
        """The host, with the port if the URL has one, as in a `Host` header."""
        return self.parts.netloc.rpartition("@")[2]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def target(self, route: str) -> str:
        """Return the request target of a route, which a proxy may have under a path of its own."""
        return self.parts.path.rstrip("/") + route


def get(api: RestApi, route: str) -> bytes:
    """Return the body that the router answers to a GET. Blocks for at most `ANSWER_S` a step.

    Raises:
        ConfigError: nobody answers, or the status is not 200.
    """
    try:
        with closing(open_connection(api)) as connection:
            connection.request("GET", api.target(route), headers=api.headers)
            response = connection.getresponse()
            status, body = response.status, response.read(ANSWER_LIMIT_BYTES)
    # A ValueError is a token that no header can hold.
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise ConfigError(api.place, no_answer(api, exc)) from None
    match status:
        case 200:
            return body
        case 404:
            problem = (
                f"answered 404, so it is no REST API of an MCP Router. {OTHER_PORT.capitalize()}"
            )
        case _:
            problem = refusal(status, body)
    raise ConfigError(api.place, problem)


def open_connection(api: RestApi, timeout_s: float = ANSWER_S) -> http.client.HTTPConnection:
    """Return a connection to a router, which is made with its first request.

    Args:
        api: of the router.
        timeout_s: how long each step may take.
    """
    if api.socket:
        return _LocalConnection(api.socket, timeout_s)
    connect = http.client.HTTPSConnection if api.is_secure else http.client.HTTPConnection
    return connect(api.authority, timeout=timeout_s)


class _LocalConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def no_answer(api: RestApi, error: Exception) -> str:
    """Return why there is no answer, and the way out."""
    why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    if api.is_local:
        return f"no answer ({one_line(why)}). The router there is busy, or about to stop"
    way_out = "Is the router running, and api.enabled true in its config.json?"
    return f"no answer ({one_line(why)}). {way_out}"


def refusal(status: int, body: bytes) -> str:
    """Return the status of an answer, with its detail if there is one, and the way out if known."""
    detail = _detail_of(body)
    if status == 401:
        return f"{detail or 'answered 401'}. {GIVE_TOKEN}"
    if status == 200:
        return NO_ROUTER  # it answers something else than it was asked for
    return f"answered {status}: {detail}" if detail else f"answered {status}"


class _Reason(msgspec.Struct):
    error: str


class _ErrorBody(msgspec.Struct):
    detail: str | _Reason


class _OtherErrorBody(msgspec.Struct):
    detail: msgspec.Raw


def _detail_of(body: bytes) -> str:
    """Return the text of an error's `detail` (see docs/rest.md); empty where there is none."""
    with suppress(msgspec.MsgspecError):
        detail = msgspec.json.decode(body, type=_ErrorBody).detail
        return one_line(detail if isinstance(detail, str) else detail.error)
    with suppress(msgspec.MsgspecError):
        # Another program behind the URL may write its `detail` in another form.
        return one_line(bytes(msgspec.json.decode(body, type=_OtherErrorBody).detail).decode())
    return ""
