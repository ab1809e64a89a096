"""The metadata documents of protected places: open, exact, and the same for all names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from router.access.admission import AdmissionRules
from router.config.security.oauth import OAuth
from router.config.security.security import Security
from router.config.settings import Server
from router.messages.errors import HttpRefusal
from router.oauth.resource_server.documents import answer
from tests.router.oauth.resource_server.fake_issuer import ISSUER, issuer
from tests.transports.listen.endpoint_client import request

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def rules(*, public_url: str = "", has_issuers: bool = True) -> AdmissionRules:
    table: Any = {"scope:a": ("call",), "groups:ops": ("call",), "scope:offline_access": ("call",)}
    issuers = (issuer(), issuer(issuer="https://b.example.org", permissions=table))
    security = Security(oauth=OAuth(issuers if has_issuers else ()))
    return AdmissionRules.from_settings(Server(public_url=public_url), security)


def document(path: str = "", *, root_path: str = "", public_url: str = "") -> dict[str, Any]:
    asked = replace(request("GET", WELL_KNOWN + path, host="Localhost:3000"), root_path=root_path)
    got = answer(asked, rules(public_url=public_url))
    assert got.status == 200
    return json.loads(got.body)


def test_document_has_what_a_client_needs_to_log_in() -> None:
    assert document("/mcp") == {
        "resource": "http://localhost:3000/mcp",
        "authorization_servers": [ISSUER, "https://b.example.org"],
        "scopes_supported": ["mcp.call", "mcp.all", "a"],
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP Router",
    }


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("", ""),
        ("/mcp/work", "/mcp/work"),
        ("/mcp/nobody-has-this-name", "/mcp/nobody-has-this-name"),
        ("/mcp/\u4e2d\u6587", "/mcp/%E4%B8%AD%E6%96%87"),
        ("/sse", "/sse"),
        ("/sse/work", "/sse/work"),
    ],
)
def test_resource_is_the_url_of_the_place_whether_or_not_it_is_there(
    path: str, resource: str
) -> None:
    assert document(path)["resource"] == f"http://localhost:3000{resource}"
    assert (
        document(path, root_path="/tools")["resource"] == f"http://localhost:3000/tools{resource}"
    )
    public = document(path, root_path="/tools", public_url="https://mcp.example.org/x/")
    assert public["resource"] == f"https://mcp.example.org/x{resource}"


def test_document_is_found_behind_the_path_of_the_public_url() -> None:
    found = document("/x/mcp", public_url="https://mcp.example.org/x")
    assert found["resource"] == "https://mcp.example.org/x/mcp"


@pytest.mark.parametrize("prefix", ["/m", "/mcp"])
def test_path_of_the_public_url_is_not_taken_for_that_of_a_place(prefix: str) -> None:
    url = f"https://mcp.example.org{prefix}"
    for path, root_path in (("/mcp", prefix), (f"{prefix}/mcp", "")):
        found = document(path, public_url=url, root_path=root_path)
        assert found["resource"] == f"{url}/mcp"


@pytest.mark.parametrize(
    "path", ["/", "/mcp/", "/mcp/a/b", "/mcp/..", "/mcp/a b", "/api", "/mcpx", "/mcp/" + "a" * 101]
)
def test_paths_that_no_place_can_have_are_404(path: str) -> None:
    with pytest.raises(HttpRefusal) as raised:
        answer(request("GET", WELL_KNOWN + path), rules())
    assert raised.value.status == 404


def test_without_issuers_there_are_no_documents() -> None:
    with pytest.raises(HttpRefusal) as raised:
        answer(request("GET", f"{WELL_KNOWN}/mcp"), rules(has_issuers=False))
    assert raised.value.status == 404


def test_head_is_answered() -> None:
    assert answer(request("HEAD", f"{WELL_KNOWN}/mcp", host="localhost"), rules()).status == 200


def test_other_methods_are_refused() -> None:
    with pytest.raises(HttpRefusal) as raised:
        answer(request("POST", f"{WELL_KNOWN}/mcp"), rules())
    assert (raised.value.status, raised.value.headers[0][0]) == (405, "Allow")
