"""A router that lets people in by their identity provider: real processes, keys and clients."""

from __future__ import annotations

import http.client
import json
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientMetadata

from tests.e2e.authorization_server import AuthorizationServer, authorization_server
from tests.e2e.raw_client import HELLO, HttpClient
from tests.e2e.websocket_client import CLOSE, Follower
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

    from tests.e2e.processes import RouterProcess

pytestmark = pytest.mark.e2e

STATIC: Final = "canary-token-of-the-file-0123456789"
LIMIT_S: Final = 30
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@attrs.frozen
class Site:
    """A router, its folder, and the authorization server of its people."""

    workspace: Workspace
    router: RouterProcess
    idp: AuthorizationServer

    @property
    def mcp(self) -> str:
        return self.router.netloc("/mcp")

    def configure(self, *issuers: Any) -> None:
        _configure(self.workspace, *issuers)
        self.router.popen.send_signal(signal.SIGHUP)


def _configure(workspace: Workspace, *issuers: Any) -> None:
    api = {"enabled": True, "port": 0, "enable_realtime_logs": True}
    security = {"bearer_token": STATIC, "oauth": {"issuers": list(issuers)}}
    workspace.configure(api=api, security=security, server={**CONFIG["server"]})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    workspace = Workspace(tmp_path_factory.mktemp("people")).add_chaos("plain")
    with authorization_server() as idp:
        _configure(workspace, idp.configured())
        with workspace.serve("http", "sse", "api") as router:
            yield Site(workspace, router, idp)


def ask(netloc: str, method: str, path: str, token: str = "", **headers: str) -> Any:
    """Return the status, the headers and the body of an answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    with closing(http.client.HTTPConnection(netloc, timeout=LIMIT_S)) as connection:
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


def status_of(netloc: str, token: str) -> int:
    """Return the status of a handshake."""
    client = HttpClient(f"http://{netloc}/mcp", token)
    with closing(client):
        return client.post({"id": 1, "method": "initialize", "params": HELLO})[0]


def test_client_without_a_token_finds_out_where_to_log_in(site: Site) -> None:
    status, headers, _ = ask(site.mcp, "GET", "/mcp")
    url = f"http://{site.mcp}{WELL_KNOWN}/mcp"
    assert status == 401
    assert headers["www-authenticate"] == f'Bearer resource_metadata="{url}", scope="mcp.call"'
    for netloc in (site.mcp, site.router.netloc("/sse"), site.router.netloc()):
        status, headers, body = ask(netloc, "GET", f"{WELL_KNOWN}/mcp")
        assert status == 200
        assert json.loads(body)["resource"] == f"http://{netloc}/mcp"
        assert json.loads(body)["authorization_servers"] == [site.idp.issuer]
    assert ask(site.mcp, "HEAD", f"{WELL_KNOWN}/mcp")[0] == 200
    assert ask(site.mcp, "POST", f"{WELL_KNOWN}/mcp")[0] == 405
    assert ask(site.mcp, "GET", f"{WELL_KNOWN}/mcp", host="evil.test")[0] == 403


def test_session_goes_on_with_a_new_token_of_its_person_only(site: Site) -> None:
    client = HttpClient(f"http://{site.mcp}/mcp", site.idp.token(jti="1"))
    with closing(client):
        client.initialize()
        for number in range(3):
            client._headers["Authorization"] = f"Bearer {site.idp.token(jti=f'n{number}')}"
            for again in range(2):
                assert client.call(f"{number}{again}", "plain", "echo", text="x")["content"]
        for stranger in (site.idp.token(sub="noor"), STATIC):
            client._headers["Authorization"] = f"Bearer {stranger}"
            assert client.post({"id": 9, "method": "ping"})[0] == 404


def test_permissions_are_those_of_the_token_that_is_sent(site: Site) -> None:
    api = site.router.netloc()
    few, many = site.idp.token(), site.idp.token(scope="mcp.all")
    assert ask(api, "GET", "/api/instances", few)[0] == 403
    assert ask(api, "GET", "/api/instances", many)[0] == 200
    assert ask(api, "GET", "/api/instances", STATIC)[0] == 200
    status, headers, _ = ask(site.mcp, "GET", "/mcp", site.idp.token(scope="other"))
    assert status == 403
    assert headers["www-authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert 'scope="mcp.call"' in headers["www-authenticate"]


def test_tokens_that_are_not_for_this_router_are_refused_everywhere(site: Site) -> None:
    now = int(time.time())
    for claims in ({"aud": "other"}, {"exp": now - 1}, {"nbf": now + 600}, {"exp": None}):
        sent = site.idp.token(**claims)
        for netloc, path in ((site.mcp, "/mcp"), (site.router.netloc(), "/api/instances")):
            status, headers, _ = ask(netloc, "GET", path, sent)
            assert status == 401
            assert 'error="invalid_token"' in headers["www-authenticate"]
        assert sent not in site.router.stderr.text


def test_websocket_ends_when_its_token_expires(site: Site) -> None:
    exp = int(time.time()) + 2
    with Follower(site.router.netloc(), site.idp.token(scope="mcp.all", exp=exp)) as follower:
        assert follower.status == 101
        kind = 0
        while kind != CLOSE:
            kind, _ = follower.frame()
        assert time.time() >= exp


class Storage(TokenStorage):
    """Keeps what a client of the SDK got, for as long as it lives."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_client_of_the_sdk_logs_in_by_itself(site: Site) -> None:
    redirected: list[str] = []

    async def redirect(url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            redirected.append((await browser.get(url)).headers["location"])

    async def callback() -> AuthorizationCodeResult:
        query = dict(parse_qsl(urlsplit(redirected[-1]).query))
        return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    url = f"http://{site.mcp}/mcp"
    wanted = OAuthClientMetadata.model_validate(
        {"redirect_uris": ["http://127.0.0.1:9/back"], "client_name": "test"}
    )
    storage = Storage()
    auth = OAuthClientProvider(url, wanted, storage, redirect, callback)
    async with (
        create_mcp_http_client(auth=auth) as plain,
        Client(streamable_http_client(url, http_client=plain)) as client,
    ):
        listed = await client.list_tools()
    assert [tool.name for tool in listed.tools][:1] == ["mcp.router.use"]
    assert storage.tokens is not None
    assert storage.tokens.scope == "mcp.call"
    assert site.idp.resources == [url]


def test_issuer_that_is_gone_from_the_file_lets_nobody_in(site: Site) -> None:
    """The last test of the router: its people are gone, and come back."""
    sent = site.idp.token()
    client = HttpClient(f"http://{site.mcp}/mcp", sent)
    with closing(client):
        client.initialize()
        site.configure()
        site.router.stderr.wait_for("changed: security.oauth.issuers")
        # 429 where the tests before have sent too many wrong ones.
        assert client.post({"id": 9, "method": "ping"})[0] in (401, 429)
    status, headers, _ = ask(site.mcp, "GET", "/mcp")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert ask(site.mcp, "GET", f"{WELL_KNOWN}/mcp")[0] == 404
    assert status_of(site.mcp, STATIC) == 200
    # A broken provider is no reason to log in again.
    site.configure(site.idp.configured(issuer="http://127.0.0.1:1"))
    ends_at_s = time.monotonic() + LIMIT_S
    while ask(site.mcp, "GET", f"{WELL_KNOWN}/mcp")[0] == 404:
        assert time.monotonic() < ends_at_s
    status, headers, _ = ask(site.mcp, "GET", "/mcp", site.idp.token(iss="http://127.0.0.1:1"))
    assert (status, headers["retry-after"]) == (503, "5")
    assert status_of(site.mcp, STATIC) == 200
