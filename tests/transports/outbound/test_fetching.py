"""Single requests: what they send, what they accept, and the sentence for each failure."""

from __future__ import annotations

import gzip
import logging
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.transports.connect.remote.fake_server import Call, CutConnection, Server, never, serve
from tests.transports.outbound.certificates import tls_for
from transports.outbound.fetching import FetchFailed, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.transports.connect.remote.fake_server import Script
    from tests.transports.outbound.names import Names


async def failure(url: str, *, allow_private: bool = True, **options: Any) -> str:
    with trio.fail_after(30), pytest.raises(FetchFailed) as caught:
        await fetch("GET", url, allow_private=allow_private, **options)
    return caught.value.sentence


# --- What is sent, and what comes back ---


async def test_an_answer_has_its_status_headers_and_body() -> None:
    async def script(call: Call) -> None:
        await call.reply(404, b'{"a":1}', X_Seen="yes")

    async with serve(script) as server:
        got = await fetch(
            "POST",
            server.url,
            headers={"authorization": "Bearer secret"},
            content=b"grant_type=x",
            allow_private=True,
        )
        assert (got.status, got.body) == (404, b'{"a":1}')
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-seen"] == "yes"
        [call] = server.calls
        assert (call.method, call.body) == ("POST", b"grant_type=x")
        assert call.headers["authorization"] == "Bearer secret"


async def test_redirects_are_not_followed() -> None:
    async with (
        serve(Call.reply) as other,
        serve(lambda call: call.reply(302, location=other.url)) as server,
    ):
        got = await fetch("GET", server.url, allow_private=True)
        assert (got.status, got.headers["location"]) == (302, other.url)
        assert other.connections == 0


async def test_cookies_are_not_kept() -> None:
    async with serve(lambda call: call.reply(set_cookie="a=b")) as server:
        for _ in range(2):
            await fetch("GET", server.url, allow_private=True)
        assert [call.headers.get("cookie") for call in server.calls] == [None, None]


async def test_proxies_of_the_environment_are_not_used_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(Call.reply) as proxy, serve(Call.reply) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await fetch("GET", server.url, allow_private=True)
        assert (proxy.connections, server.connections) == (0, 1)


async def test_proxies_of_the_environment_are_used_for_other_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(lambda call: call.reply(403)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        sentence = await failure("https://issuer.test/keys")
        assert sentence == ("cannot fetch https://issuer.test/keys: the proxy on the way refused")
        [call] = proxy.calls
        assert (call.method, call.target) == ("CONNECT", "issuer.test:443")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    assert await failure("https://issuer.test/keys") == (
        "cannot fetch https://issuer.test/keys: "
        "the proxy of the environment is neither http:// nor https://"
    )


# --- Limits ---


async def test_a_body_that_is_too_long_is_not_read_to_its_end() -> None:
    cut = trio.Event()

    async def script(call: Call) -> None:
        await call.stream()
        try:
            while True:
                await call.event(b"x" * 1000)
        except trio.BrokenResourceError:
            cut.set()
            raise

    async with serve(script) as server:
        sentence = await failure(server.url, limit_bytes=10_240)
        assert sentence == f"cannot fetch {server.url}: its answer is larger than 10 KiB"
        await cut.wait()


async def test_a_body_as_long_as_the_limit_is_accepted() -> None:
    async with serve(lambda call: call.reply(body=b"x" * 1024)) as server:
        got = await fetch("GET", server.url, allow_private=True, limit_bytes=1024)
        assert len(got.body) == 1024


async def test_a_body_in_gzip_is_decoded() -> None:
    body = gzip.compress(b'{"a":1}', mtime=0)
    async with serve(lambda call: call.reply(body=body, content_encoding="gzip")) as server:
        assert (await fetch("GET", server.url, allow_private=True)).body == b'{"a":1}'


async def test_a_body_that_decodes_to_more_than_the_limit_is_refused() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    async with serve(lambda call: call.reply(body=bomb, content_encoding="gzip")) as server:
        sentence = await failure(server.url)
        assert sentence == f"cannot fetch {server.url}: its answer is larger than 1,024 KiB"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate"])
async def test_encodings_that_were_not_asked_for_are_not_decoded(encoding: str) -> None:
    body = gzip.compress(gzip.compress(b"{}", mtime=0))
    async with serve(lambda call: call.reply(body=body, content_encoding=encoding)) as server:
        sentence = await failure(server.url)
        assert sentence == f"cannot fetch {server.url}: its answer is encoded, and not as gzip"
        assert server.calls[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("body", [b"{}", gzip.compress(b"{}" * 100, mtime=0)[:-9]])
async def test_a_body_that_is_no_gzip_or_only_a_part_of_it_is_refused(body: bytes) -> None:
    async with serve(lambda call: call.reply(body=body, content_encoding="gzip")) as server:
        assert "is not encoded as it says" in await failure(server.url)


async def test_an_answer_without_a_body_may_say_that_it_is_encoded() -> None:
    async with serve(lambda call: call.reply(body=b"", content_encoding="gzip")) as server:
        assert (await fetch("GET", server.url, allow_private=True)).body == b""


async def test_everything_together_takes_at_most_the_timeout() -> None:
    async def script(call: Call) -> None:
        await call.stream()
        await call.event(b"begun")
        await never()

    async with serve(script) as server:
        sentence = await failure(server.url, timeout_s=0.2)
        assert sentence == f"cannot fetch {server.url}: there was no answer within 0.2 s"


# --- URLs and addresses that are refused ---


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://issuer.test/keys?secret=1",
            "cannot fetch http://issuer.test/keys: it must be https://, "
            "since http:// is for addresses of this machine only",
        ),
        ("http://127.0.0.1.evil.test/", "http:// is for addresses of this machine only"),
        ("http://localhost.evil.test/", "http:// is for addresses of this machine only"),
        ("http://10.0.0.1/", "http:// is for addresses of this machine only"),
        ("http://2130706433/", "http:// is for addresses of this machine only"),
        (
            "https://user:password@issuer.test:8443/a",
            "cannot fetch https://issuer.test:8443/a: its URL holds a user name or a password",
        ),
        (
            "file:///etc/passwd",
            "cannot fetch file:///etc/passwd: it is no URL that begins with https:// and a host",
        ),
        ("gopher://issuer.test/", "no URL that begins with https:// and a host"),
        ("https:///keys", "no URL that begins with https:// and a host"),
        ("//issuer.test/keys", "no URL that begins with https:// and a host"),
        ("keys", "no URL that begins with https:// and a host"),
        ("", "no URL that begins with https:// and a host"),
        ("https://issuer.test:port/", "cannot fetch a URL that is malformed"),
        ("https://issuer.test/\r\nx", "cannot fetch a URL that is malformed"),
        ("https://[::1", "cannot fetch a URL that is malformed"),
    ],
)
async def test_a_url_that_is_not_allowed_is_refused_at_once(url: str, sentence: str) -> None:
    assert sentence in await failure(url)


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/", "https://[::ffff:127.0.0.1]/", "http://localhost:9/"]
)
async def test_private_addresses_are_refused_unless_they_are_allowed(url: str) -> None:
    assert await failure(url, allow_private=False) == (
        f'cannot fetch {url}: its address is not public, and "allow_private" is false'
    )


async def test_the_sentence_for_a_long_url_is_bounded() -> None:
    assert len(await failure(f"ftp://{'a.' * 2000}test/")) < 300


# --- Failures of the network ---


async def test_each_failure_has_its_own_sentence(names: Names) -> None:
    async def cut(call: Call) -> None:
        raise CutConnection

    async def broken(call: Call) -> None:
        await call.all_but_the_end(b"{}")
        raise CutConnection

    async def no_http(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"SSH-2.0\r\n\r\n")
        await stream.aclose()

    for script in (cut, broken):
        async with serve(script) as server:
            assert await failure(server.url) == (
                f"cannot fetch {server.url}: it broke off, or did not answer in HTTP"
            )
            port = server.port
    assert "connection refused" in await failure(f"http://127.0.0.1:{port}/")
    assert await failure("https://nobody.test/a") == (
        "cannot fetch https://nobody.test/a: "
        "its host name cannot be resolved (Name or service not known)"
    )
    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, no_http, 0, host="127.0.0.1")
        [listener] = await nursery.start(listen)
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        assert "did not answer in HTTP" in await failure(f"http://{address}/")
        assert "does not speak TLS" in await failure(f"https://{address}/")
        nursery.cancel_scope.cancel()


async def test_a_header_that_cannot_be_sent_is_not_repeated() -> None:
    async with serve(Call.reply) as server:
        sentence = await failure(server.url, headers={"authorization": "secret\r\nx: y"})
        assert sentence == (
            f"cannot fetch {server.url}: a header of the request cannot be sent in HTTP"
        )


async def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve(Call.reply) as server:
        await fetch(
            "POST",
            f"{server.url}?code=CANARY",
            headers={"authorization": "CANARY"},
            content=b"CANARY",
            allow_private=True,
        )
    assert "CANARY" not in caplog.text


# --- TLS ---


@asynccontextmanager
async def serve_tls(script: Script, name: str, folder: Path) -> AsyncGenerator[tuple[Server, Path]]:
    context, trusted = tls_for(name, folder)
    server = Server(script)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server.port = listener.socket.getsockname()[1]

    async def converse(stream: Any) -> None:
        with suppress(trio.BrokenResourceError):
            await server.converse(stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, converse, [trio.SSLListener(listener, context)])
        yield server, trusted
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("public_loopback")
@pytest.mark.parametrize("allow_private", [True, False])
async def test_tls_is_for_the_name_in_the_url(
    names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, allow_private: bool
) -> None:
    names.answers["issuer.test"] = names.answers["other.test"] = [["127.0.0.1"]]
    async with serve_tls(Call.reply, "issuer.test", tmp_path) as (server, trusted):
        url = f"https://issuer.test:{server.port}/keys"
        assert "TLS failed: self-signed certificate" in await failure(
            url, allow_private=allow_private
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        got = await fetch("GET", url, allow_private=allow_private)
        assert got.status == 200
        assert server.calls[0].headers["host"] == f"issuer.test:{server.port}"
        other = f"https://other.test:{server.port}/keys"
        assert "TLS failed: Hostname mismatch" in await failure(other, allow_private=allow_private)


def test_the_http_client_is_imported_by_the_first_request() -> None:
    code = "import sys, transports.outbound.fetching; print('httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
