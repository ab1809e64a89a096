"""Requests through trusted proxies come from the address, and under the prefix, that they tell."""

from __future__ import annotations

import pytest

from router.access.proxies import HOP_LIMIT, PREFIX_LIMIT, TrustedProxies

PROXY = "127.0.0.1"
CLIENT = "203.0.113.7"
TRUSTED = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"])


def forwarded(*values: str, prefix: str | None = None) -> list[tuple[bytes, bytes]]:
    """Headers with an `X-Forwarded-For` for each value."""
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode()) for value in values)]
    return headers if prefix is None else [*headers, (b"x-forwarded-prefix", prefix.encode())]


def client(*values: str, peer: str = PROXY, trusted: TrustedProxies = TRUSTED) -> str:
    return trusted.locate(peer, forwarded(*values))[0]


def prefix(value: str, peer: str = PROXY, trusted: TrustedProxies = TRUSTED) -> str:
    return trusted.locate(peer, forwarded(CLIENT, prefix=value))[1]


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        (PROXY, TrustedProxies()),
        (CLIENT, TRUSTED),
        ("11.0.0.1", TRUSTED),
        ("fe80::1%eth0", TRUSTED),
        ("", TrustedProxies(["127.0.0.1"])),
        (PROXY, TrustedProxies(["unix"])),
    ],
)
def test_headers_of_a_peer_that_is_not_trusted_are_ignored(
    peer: str, trusted: TrustedProxies
) -> None:
    assert trusted.locate(peer, forwarded("192.0.2.1", prefix="/tools")) == (peer, "")


@pytest.mark.parametrize("peer", [PROXY, "::ffff:127.0.0.1", "10.1.2.3", "fd00::5", ""])
def test_trusted_peer_tells_the_client(peer: str) -> None:
    told = TRUSTED.locate(peer, forwarded(CLIENT, prefix="/tools"))
    assert told == (CLIENT, "/tools")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([f"192.0.2.66, {CLIENT}"], CLIENT),
        ([f"192.0.2.66, {CLIENT}, 10.0.0.9, fd00::9"], CLIENT),
        (["192.0.2.66", CLIENT, "10.0.0.9"], CLIENT),
        (["10.0.0.8,10.0.0.9"], "10.0.0.8"),
    ],
    ids=["one proxy", "several proxies", "several headers", "a client inside"],
)
def test_rightmost_address_that_no_proxy_has_is_the_client(
    values: list[str], expected: str
) -> None:
    assert client(*values) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("203.0.113.7:50000", CLIENT),
        ("  203.0.113.7 ", CLIENT),
        ("::ffff:203.0.113.7", CLIENT),
        ("[::FFFF:203.0.113.7]:5", CLIENT),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8:0::1", "2001:db8::1"),
    ],
)
def test_address_has_one_spelling(value: str, expected: str) -> None:
    assert client(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "unknown", "_hidden", "unix:", "localhost", "203.0.113.7:", "203.0.113.7:123456",
        "203.0.113.256", "203.0.113.7, ", "[203.0.113.7", "2001:db8::1::2", "fe80::1%eth0",
        f"{' ' * HOP_LIMIT}203.0.113.7", "203.0.113.7\xff", '"203.0.113.7"', "for=203.0.113.7",
    ],
)  # fmt: skip
def test_what_is_no_address_leaves_the_proxy_that_sent_it(value: str) -> None:
    assert client(value) == PROXY
    assert client(f"{value},10.0.0.9") == "10.0.0.9"


def test_proxy_that_tells_nothing_is_the_client_itself() -> None:
    assert TRUSTED.locate("::ffff:127.0.0.1", forwarded()) == (PROXY, "")
    assert TRUSTED.locate("", forwarded()) == ("", "")


def test_mapped_address_is_written_plainly_without_proxies_too() -> None:
    assert client(peer="::ffff:203.0.113.7", trusted=TrustedProxies()) == CLIENT
    assert client(peer="::ffff:1", trusted=TrustedProxies()) == "::ffff:1"


def test_headers_that_clients_can_slip_through_are_ignored() -> None:
    headers = [
        (b"forwarded", b"for=192.0.2.1"),
        (b"x-real-ip", b"192.0.2.1"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-for", CLIENT.encode()),
    ]
    assert TRUSTED.locate(PROXY, headers) == (CLIENT, "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/tools", "/tools"),
        ("/tools/", "/tools"),
        ("/a/b-c/d.e_f~1", "/a/b-c/d.e_f~1"),
        ("/.well-known", "/.well-known"),
        ("/...", "/..."),
        ("/", ""),
        ("", ""),
    ],
)
def test_prefix_is_a_path_without_a_slash_at_its_end(value: str, expected: str) -> None:
    assert prefix(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "tools", "//evil.example", "/a//b", "/a/../b", "/..", "/a/.", "/./a", "/a b", "/a%2fb",
        "/a?b", "/a#b", "/a\\b", "/a\nb", "/a, /b", "/a\xff", "http://evil.example/a",
        "/" + "a" * PREFIX_LIMIT,
    ],
)  # fmt: skip
def test_what_is_no_plain_path_is_no_prefix(value: str) -> None:
    assert prefix(value) == ""


def test_prefixes_that_contradict_each_other_count_for_nothing() -> None:
    headers = [(b"x-forwarded-prefix", b"/a"), (b"x-forwarded-prefix", b"/b")]
    assert TRUSTED.locate(PROXY, headers) == (PROXY, "")
