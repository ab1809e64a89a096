"""The site that a browser sees, and the requests that come from its pages."""

from __future__ import annotations

import pytest

from router.oauth.browser.site import Site, is_own, is_own_path, site_of

HERE = Site("https://mcp.example.org")


@pytest.mark.parametrize(
    ("host", "public_url", "origin"),
    [
        ("127.0.0.1:8001", "", "http://127.0.0.1:8001"),
        ("LocalHost:8001", "", "http://localhost:8001"),
        ("[::1]:8001", "", "http://[::1]:8001"),
        ("router.lan:80", "", "http://router.lan"),
        ("mcp.example.org", "https://mcp.example.org/tools", "https://mcp.example.org"),
        ("mcp.example.org:443", "https://mcp.example.org", "https://mcp.example.org"),
        ("mcp.example.org", "https://mcp.example.org:443", "https://mcp.example.org"),
        ("mcp.example.org:8443", "https://mcp.example.org:8443", "https://mcp.example.org:8443"),
        # Another port, or another host, is not behind the proxy.
        ("mcp.example.org:8001", "https://mcp.example.org", "http://mcp.example.org:8001"),
        ("127.0.0.1:8001", "https://mcp.example.org", "http://127.0.0.1:8001"),
    ],
)
def test_the_public_url_counts_for_its_own_host(host: str, public_url: str, origin: str) -> None:
    site = site_of({"host": host}, public_url, "/tools")
    assert site == Site(origin, "/tools")
    assert site.is_secure == origin.startswith("https")
    assert site.url("/login") == f"{origin}/tools/login"


def test_the_public_url_has_the_prefix_where_the_proxy_does_not_tell_it() -> None:
    public_url = "https://mcp.example.org/tools/"
    site = site_of({"host": "mcp.example.org"}, public_url)
    assert site.url("/login/callback") == "https://mcp.example.org/tools/login/callback"
    assert site_of({"host": "127.0.0.1:8001"}, public_url).prefix == ""


@pytest.mark.parametrize(
    ("method", "origin", "fetch_site", "expected"),
    [
        ("GET", None, None, True),
        ("GET", None, "same-origin", True),
        ("GET", None, "none", True),
        ("GET", None, "same-site", False),
        ("GET", None, "cross-site", False),
        ("GET", "https://evil.example.org", None, False),
        ("POST", HERE.origin, None, True),
        ("POST", HERE.origin, "same-origin", True),
        ("POST", HERE.origin, "cross-site", False),
        ("POST", None, "same-origin", False),
        ("POST", None, None, False),
        ("POST", "null", "same-origin", False),
        ("POST", "http://mcp.example.org", None, False),
        ("POST", "https://mcp.example.org:8001", None, False),
        ("POST", "https://mcp.example.org.evil.com", None, False),
        ("DELETE", "https://evil.example.org", None, False),
        ("", HERE.origin, None, True),
        ("", None, None, False),
        ("", "https://evil.example.org", None, False),
    ],
)
def test_a_request_that_may_change_something_names_this_site(
    method: str, origin: str | None, fetch_site: str | None, expected: bool
) -> None:
    given = {"origin": origin, "sec-fetch-site": fetch_site}
    headers = {name: value for name, value in given.items() if value is not None}
    assert is_own(method, headers, HERE) is expected


@pytest.mark.parametrize("path", ["/", "/docs", "/tools/docs?a=b#c", "/docs//x", "/%2f%2fevil"])
def test_a_path_of_this_site_may_be_returned_to(path: str) -> None:
    assert is_own_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "docs",
        "//evil.example.org",
        "/\\evil.example.org",
        "\\/evil.example.org",
        "/\t/evil.example.org",
        "/\n/evil.example.org",
        "https://evil.example.org",
        "https:evil.example.org",
        "javascript:alert(1)",
        " /docs",
        "/docs\r\nSet-Cookie: a=b",
        "/\u2028",
        "/" + "a" * 2000,
    ],
)
def test_an_address_that_may_lead_elsewhere_is_not_returned_to(path: str) -> None:
    assert not is_own_path(path)
