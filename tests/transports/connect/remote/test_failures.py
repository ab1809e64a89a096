"""Sentences about the exceptions of the HTTP client."""

from __future__ import annotations

import errno
import os
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from socket import EAI_NONAME, gaierror
from typing import Any

import httpx2
import pytest
import trio

from router.messages.frames import Request
from tests.transports.connect.remote.fake_server import Call, refusal, serve
from transports.connect.remote.endpoint import RemoteEndpoint
from transports.connect.remote.failures import (
    describe,
    describe_first,
    is_unreachable,
    retry_after_s,
)

THERE = RemoteEndpoint.from_url("http://there/mcp?key=s3cret")


def caused(exc: Exception, cause: BaseException) -> Any:
    exc.__cause__ = cause
    return exc


def tls_error(reason: str | None = None) -> ssl.SSLError:
    error = ssl.SSLError(1, "s3cret")
    error.reason = reason  # type: ignore[assignment]
    return error


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "s3cret")
    error.verify_message = "certificate has expired"
    return error


def status_error(status: int, **headers: str) -> httpx2.HTTPStatusError:
    request = httpx2.Request("POST", THERE.url)
    response = httpx2.Response(status, headers=headers, request=request)
    return httpx2.HTTPStatusError("s3cret", request=request, response=response)


@pytest.mark.parametrize(
    ("exc", "sentence"),
    [
        (httpx2.InvalidURL("s3cret"), "cannot connect to THERE: its url is no URL"),
        (httpx2.ConnectTimeout("s3cret"), "cannot connect to THERE: no answer within 5 s"),
        (httpx2.ProxyError("s3cret"), "cannot connect to THERE: the proxy on the way refused"),
        (
            httpx2.LocalProtocolError("s3cret"),
            "cannot connect to THERE: a header of this instance cannot be sent in HTTP",
        ),
        (
            httpx2.DecodingError("s3cret"),
            "the connection to THERE broke: its answer is not encoded as it says",
        ),
        (
            httpx2.SSEError("s3cret"),
            "the connection to THERE broke: its event stream cannot be read",
        ),
        (
            httpx2.ReadError("s3cret"),
            "the connection to THERE broke: it was closed by the other side",
        ),
        (status_error(503), "THERE answered 503 Service Unavailable"),
        (
            status_error(307, location="http://s3cret/"),
            "THERE answered 307 Temporary Redirect, a redirect that is not followed; "
            "set the url it leads to",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failure_has_its_sentence_without_the_words_of_libraries(exc: Any, sentence: str) -> None:
    assert describe(THERE, exc) == sentence.replace("THERE", "http://there/mcp")


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (certificate_error(), "TLS failed: certificate has expired"),
        (tls_error(), "TLS failed: no common ground"),
        (
            tls_error("WRONG_VERSION_NUMBER"),
            "what answers there does not speak TLS; is its url http:// and not https://?",
        ),
        (gaierror(EAI_NONAME, "unknown"), "its host name cannot be resolved (unknown)"),
        (
            UnicodeError("label empty or too long"),
            "its host name cannot be resolved (it is malformed)",
        ),
        (OSError(errno.ECONNREFUSED, "s3cret"), os.strerror(errno.ECONNREFUSED).lower()),
        (OSError("s3cret"), "it was closed by the other side"),
        (
            ExceptionGroup("s3cret", [ValueError(), OSError(errno.ENETUNREACH, "s3cret")]),
            os.strerror(errno.ENETUNREACH).lower(),
        ),
        (caused(RuntimeError("s3cret"), OSError(errno.EPIPE, "s3cret")), "broken pipe"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failure_to_connect_is_explained_by_its_cause(cause: BaseException, why: str) -> None:
    exc = caused(httpx2.ConnectError("s3cret"), cause)
    assert describe(THERE, exc) == f"cannot connect to http://there/mcp: {why}"


def test_first_failure_in_a_group_is_described() -> None:
    group: Any = ExceptionGroup(
        "", [ExceptionGroup("", [httpx2.ProxyError("")]), httpx2.ReadError("")]
    )
    sentence, asked_s = describe_first(THERE, group)
    assert sentence.endswith("the proxy on the way refused")
    assert asked_s is None


def test_refusal_with_a_time_of_the_next_try_says_both() -> None:
    error = status_error(503, **{"retry-after": "7"})
    sentence, asked_s = describe_first(THERE, ExceptionGroup("", [error]))
    assert sentence.endswith("answered 503 Service Unavailable; Retry-After: 7 s")
    assert asked_s == 7


@pytest.mark.parametrize(
    ("exc", "unreachable"),
    [
        (httpx2.ConnectError(""), True),
        (httpx2.ConnectTimeout(""), True),
        (httpx2.ProxyError(""), True),
        (httpx2.UnsupportedProtocol(""), True),
        (httpx2.WriteTimeout(""), False),
        (httpx2.ReadError(""), False),
        (httpx2.RemoteProtocolError(""), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_failure_before_there_was_a_connection_is_unreachable(
    exc: httpx2.HTTPError, unreachable: bool
) -> None:
    assert is_unreachable(exc) is unreachable


# --- As the libraries raise them ---


async def test_an_unknown_host_is_the_reason() -> None:
    class Nobody(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
            await trio.lowlevel.checkpoint()
            raise gaierror(EAI_NONAME, "unknown")

        async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Nobody())
    reason = await refusal(Call.result, url="http://nowhere.invalid/mcp")
    assert "http://nowhere.invalid/mcp: its host name cannot be resolved (unknown)" in reason


async def test_failed_tls_is_the_reason() -> None:
    async with serve(Call.result) as server:
        url = server.url.replace("http:", "https:")
        async with server.connect(url=url) as talk:
            await talk.send(Request(1, "initialize"))
            assert (await talk.lost_reason()).startswith(f"cannot connect to {url}: TLS failed")


# --- When to try again ---


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 400, 999999999.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(httpx2.Response(503, headers={"retry-after": value})) == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    seconds = retry_after_s(httpx2.Response(503, headers={"retry-after": at}))
    assert seconds is not None
    assert 90 < seconds <= 100


def test_no_retry_after_asks_for_nothing() -> None:
    assert retry_after_s(httpx2.Response(503)) is None
