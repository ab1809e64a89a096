"""Runs authorization servers of others, and logs people in by their forms, without a browser.

- `identity_provider`: npm `oidc-provider` (tests/peers/identity_provider.mjs), with registration,
  PKCE, rotated refresh tokens, revocation, introspection, resources and the device flow.
- `mock_issuer`: npm `oauth2-mock-server`, which signs whatever claims it is asked for.
- `sdk_authorization_server` and `sdk_protected_server`: the Python SDK's examples.

Every loopback address may be a redirect address of the client `CLIENT_ID`, at the paths that the
router has.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from html.parser import HTMLParser
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e import peers
from tests.e2e.ports import free_port
from tests.e2e.processes import Lines
from tests.e2e.real_servers import listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

CLIENT_ID: Final = "router"
"""A public client of `identity_provider`."""

MACHINE: Final = ("machine", "machine-secret-0123456789")
"""Its client for `client_credentials` and introspection, with its secret."""

LIMIT_S: Final = 20.0

MOST_PAGES: Final = 12
"""A login takes two forms, each with two redirects."""


# --- Servers ---------------------------------------------------------------------------------


@attrs.frozen
class IdentityProvider:
    """An authorization server that runs.

    Attributes:
        issuer: its identifier, which is its URL.
        said: its stdout; `identity_provider` writes a line of JSON for each token request.
    """

    issuer: str
    said: Lines = attrs.field(repr=False)

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata document (OpenID Connect Discovery 1.0)."""
        return fetch_json(f"{self.issuer}/.well-known/openid-configuration")

    def token_requests(self) -> list[dict[str, Any]]:
        """Return all requests for tokens that it has told of: `grant`, `client`, `error` or null.

        It tells of a request about when it answers, so the last one may come a little later.
        """
        return [json.loads(line) for line in self.said.text.splitlines() if line[:1] == "{"]

    def token(self, **form: str) -> dict[str, Any]:
        """Return the answer to a request for a token."""
        return fetch_json(self.metadata["token_endpoint"], form)

    def machine_token(self, resource: str, scope: str = "mcp.call") -> str:
        """Return an access token of the client for machines, for a resource (RFC 8707)."""
        name, secret = MACHINE
        asked = {"client_id": name, "client_secret": secret, "resource": resource, "scope": scope}
        return self.token(grant_type="client_credentials", **asked)["access_token"]

    def signed(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a token of `mock_issuer` with these claims; None takes one away."""
        changes = {"claims": json.dumps(claims), "header": json.dumps(header or {})}
        return self.token(grant_type="client_credentials", **changes)["access_token"]

    def new_key(self) -> None:
        """Have `mock_issuer` sign with another key from now on."""
        _open(urllib.request.build_opener(), _request(f"{self.issuer}/new-key", {}))


@contextmanager
def identity_provider(port: int = 0, **options: Any) -> Iterator[IdentityProvider]:
    """Run `oidc-provider`; the options are those of its script."""
    with _node("identity_provider.mjs", str(port), json.dumps(options)) as provider:
        yield provider


@contextmanager
def mock_issuer(port: int = 0) -> Iterator[IdentityProvider]:
    """Run `oauth2-mock-server`."""
    with _node("mock_issuer.mjs", str(port)) as issuer:
        yield issuer


@contextmanager
def _node(script: str, *words: str) -> Iterator[IdentityProvider]:
    peers.npm_script("oidc-provider", "package.json")
    process = subprocess.Popen(
        [*peers.node_script(script), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    said = Lines(process.stdout)
    try:
        yield IdentityProvider(said.wait_for(r"Listening on (\S+)")[1], said)
    finally:
        process.kill()
        process.wait()
        said.join()
        process.stdout.close()


@contextmanager
def sdk_authorization_server() -> Iterator[str]:
    """Run the SDK's example of an authorization server; yields its URL."""
    port = free_port()
    with _sdk_example("auth_server", "--port", str(port)):
        yield f"http://localhost:{port}"


@contextmanager
def sdk_protected_server(authorization_server: str) -> Iterator[str]:
    """Run the SDK's example of an MCP server that wants tokens; yields its URL."""
    port = free_port()
    with _sdk_example("server", "--port", str(port), "--auth-server", authorization_server):
        yield f"http://localhost:{port}/mcp"


@contextmanager
def _sdk_example(module: str, *words: str) -> Iterator[None]:
    command = [peers.python_of("sdk-examples"), "-m", f"mcp_simple_auth.{module}", *words]
    folder = peers.sdk_source("examples/servers/simple-auth")
    with listening(command, "Uvicorn running on", dict(os.environ) | {"PYTHONPATH": str(folder)}):
        yield


# --- Logins by forms -------------------------------------------------------------------------


def log_in(url: str, person: str = "alice") -> str:
    """Log a person in from an authorization URL; return the URL that the browser is sent back to.

    Every form on the way is sent as it stands, with the person's name where it asks for one. The
    pages of one host are followed; the first redirect to another one is the way back.
    """
    browser = FormBrowser()
    page = browser.open(url)
    while not page.leads_away:
        page = browser.submit(page, {"login": person, "password": "any"})
    return page.url


def approve_device(url: str, user_code: str, person: str = "alice") -> str:
    """Let a device in, at its verification URL; return the words of the last page."""
    browser = FormBrowser()
    page = browser.open(url)
    while "<form" in page.html:
        answers = {"login": person, "password": "any", "user_code": user_code}
        page = browser.submit(page, answers)
    return page.html


@attrs.frozen
class Page:
    """The page, or the redirect, to which a request has led.

    Attributes:
        url: of the page; or, if `leads_away`, of the redirect to another host.
        html: its text.
        leads_away: the redirect was not followed.
    """

    url: str
    html: str = ""
    leads_away: bool = False


class FormBrowser:
    """Opens pages and sends their forms; it keeps cookies, and runs no script."""

    def __init__(self) -> None:
        # The pages are on a loopback address, whose cookies have no domain to check.
        jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainLiberal))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(jar),
            _NoRedirects(),
        )

    def open(self, url: str, form: Mapping[str, str] | None = None) -> Page:
        """Request a page, and follow redirects on its host."""
        for _ in range(MOST_PAGES):
            status, headers, body = _open(self._opener, _request(url, form))
            if status not in {301, 302, 303, 307}:
                assert status < 400, body
                return Page(url, body)
            here, url, form = url, urllib.parse.urljoin(url, headers["location"]), None
            if _origin(url) != _origin(here):
                return Page(url, leads_away=True)
        raise AssertionError(f"Too many redirects, at last to {url}")

    def submit(self, page: Page, answers: Mapping[str, str]) -> Page:
        """Send the first form of a page, with these answers in its fields that are empty."""
        form = _Form()
        form.feed(page.html)
        assert form.fields, page.html
        fields = {name: value or answers.get(name, "") for name, value in form.fields.items()}
        return self.open(urllib.parse.urljoin(page.url, form.action), fields)


class _Form(HTMLParser):
    """The first form of a page: where it is sent, and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self._number = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._number += 1
            self.action = self.action or given.get("action", "")
        elif tag == "input" and self._number == 1 and "name" in given:
            self.fields[given["name"]] = given.get("value", "")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


# --- Requests --------------------------------------------------------------------------------


def fetch_json(url: str, form: Mapping[str, str] | None = None, *, json_body: Any = None) -> Any:
    """Return the JSON at a URL; with a form or a body, the answer to a POST.

    Raises:
        AssertionError: the status is no success.
    """
    request = _request(url, form)
    if json_body is not None:
        request.data = json.dumps(json_body).encode()
        request.add_header("Content-Type", "application/json")
    status, _, body = _open(urllib.request.build_opener(), request)
    assert status in {200, 201}, (status, body)
    return json.loads(body)


def status_of(url: str) -> tuple[int, Mapping[str, str]]:
    """Return status and headers, names in lower case, of an empty POST without a token."""
    status, headers, _ = _open(urllib.request.build_opener(), _request(url, {}))
    return status, headers


def _request(url: str, form: Mapping[str, str] | None) -> urllib.request.Request:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    return urllib.request.Request(url, data)


def _open(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request
) -> tuple[int, Mapping[str, str], str]:
    try:
        with opener.open(request, timeout=LIMIT_S) as answer:
            return answer.status, _lower(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read().decode()


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
