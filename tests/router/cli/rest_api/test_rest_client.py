"""The REST API that commands ask, and its answers in words."""

from __future__ import annotations

import pytest

from router.cli.rest_api.rest_client import RestApi, get
from router.config.security.security import Security
from router.config.settings import Api, Settings
from router.messages.errors import ConfigError
from tests.router.cli.rest_api.answering import answering, http_response, unused_url

# --- Where it is -----------------------------------------------------------------------------


def settings(host: str = "127.0.0.1", token: str = "") -> Settings:
    return Settings(api=Api(host=host), security=Security(bearer_token=token))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),
        ("::", "http://[::1]:8001"),
        ("[fd00::1]", "http://[fd00::1]:8001"),
        ("mcp.example.org", "http://mcp.example.org:8001"),
    ],
)
def test_api_is_asked_where_it_can_be_reached(host: str, url: str) -> None:
    assert RestApi.from_settings(settings(host)).url == url


@pytest.mark.parametrize(
    ("configured", "given", "sent"),
    [
        ("s3cret", "", "s3cret"),
        ("s3cret", "other", "other"),
        (f"sha256:{'0f' * 32}", "", ""),
        (f"sha256:{'0f' * 32}", "other", "other"),
    ],
)
def test_token_is_the_one_given_or_the_one_configured_but_never_a_digest(
    configured: str, given: str, sent: str
) -> None:
    assert RestApi.from_settings(settings(token=configured), given).token == sent


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8001",
        "ftp://x",
        "http://",
        "http://[",
        "http://x:y",
        "http://x:0",
        "http://x:99999",
    ],
)
def test_other_texts_are_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--url: expected a URL such as http://127\.0\.0\.1"):
        RestApi(url)


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "s3cret"])
def test_token_goes_in_a_header(token: str) -> None:
    with answering(http_response("200 OK", "[]")) as (url, requests):
        assert get(RestApi(url + "/", token), "/api/status") == b"[]"
    assert requests[0].startswith(b"GET /api/status HTTP/1.1\r\n")
    assert (b"Authorization: Bearer s3cret\r\n" in requests[0]) is bool(token)


def test_path_of_a_proxy_and_a_user_in_the_url_are_understood() -> None:
    with answering(http_response("200 OK", "[]")) as (url, requests):
        get(RestApi(url.replace("//", "//user@") + "/router/"), "/api/status")
    assert requests[0].startswith(b"GET /router/api/status HTTP/1.1\r\n")
    assert f"Host: {url.removeprefix('http://')}\r\n".encode() in requests[0]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            http_response("401 Unauthorized", '{"detail": "Invalid bearer token"}'),
            "Invalid bearer token. Give --token, or set $MCP_ROUTER_TOKEN",
        ),
        (
            http_response("401 Unauthorized", "another program"),
            "answered 401. Give --token, or set $MCP_ROUTER_TOKEN",
        ),
        (
            http_response("403 Forbidden", '{"detail": {"error": "no\\nway", "code": "X"}}'),
            "answered 403: no\\nway",
        ),
        (
            http_response("422 Unprocessable", '{"detail": [{"loc": "x"}]}'),
            'answered 422: [{"loc": "x"}]',
        ),
        (http_response("302 Found", "elsewhere"), "answered 302"),
        (
            http_response("404 Not Found", "another program"),
            "answered 404, so it is no REST API of an MCP Router. Where api.port was taken, the "
            "router has another, which its log names: give it with --url",
        ),
        (http_response("500 Oops", "[]"), "answered 500"),
        (b"SSH-2.0-nothing\r\n", "no answer (SSH-2.0-nothing"),
        (b"", "no answer (Remote end closed connection without response)"),
    ],
)
def test_other_answers_are_one_line(answer: bytes, problem: str) -> None:
    with answering(answer) as (url, _), pytest.raises(ConfigError) as raised:
        get(RestApi(url, "wrong"), "/api/status")
    assert f"{url}: {problem}" in str(raised.value)
    assert len(str(raised.value).strip().splitlines()) == 1


def test_unreachable_router_is_one_line_with_a_way_out() -> None:
    url = unused_url()
    with pytest.raises(ConfigError) as raised:
        get(RestApi(url), "/api/status")
    assert str(raised.value) == (
        f"{url}: no answer (Connection refused). Is the router running, and api.enabled true in "
        "its config.json?"
    )
