"""Is the client of the conformance suite in scenarios about logins, with a router that logs in.

Usage: PYTHON -m tests.e2e.logging_in_conformance_client ROUTER PID FOLDER SOCKET URL, with the URL
of the router, its process, the folder of its instances and its local socket. The suite adds the URL
of its server. That server becomes an instance. This client calls its tools through the router, and
is the person with the browser wherever the router needs a login.

Its status is 1 if a login, or the instance, comes to nothing; some scenarios are about that.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from router.cli.rest_api.rest_client import RestApi, open_connection
from tests.e2e.raw_client import HttpClient
from tests.e2e.routed_conformance_client import READY_LIMIT_S, instance

PUBLIC_URL: Final = "https://conformance-test.local"
"""The router's `server.public_url`: the suite's servers take the metadata document there."""

MOST_LOGINS: Final = 3
"""A server that is never content ends this client, and not the other way round."""

DONE: Final = "All tools have answered"
"""On stdout where that is so; of many scenarios in a run, the suite keeps no status."""


class LoginFailed(Exception):
    """The router or its page has said so."""


LEFT_OUT: Final = {
    "auth/dpop": "tokens that are bound to a key (RFC 9449)",
    "auth/dpop-nonce": "tokens that are bound to a key (RFC 9449)",
    "auth/wif-jwt-bearer": "a token of the machine that the router would run on",
    "auth/enterprise-managed-authorization": "a client that has an ID token of its own",
}
"""Scenarios of extensions, and what they want that the router has not."""


def is_for_logins(scenario: str) -> bool:
    """Return whether this is the client for a scenario."""
    return scenario.startswith("auth/") and scenario not in LEFT_OUT


def main() -> int:
    """Log in wherever it is needed, and call all tools; return the status."""
    router, pid, folder, socket, url = sys.argv[1:]
    if not is_for_logins(os.environ["MCP_CONFORMANCE_SCENARIO"]):
        return 0  # the suite runs it with all others, and nobody looks at it
    with instance(Path(folder), int(pid), url=url, **_login_keys()) as name:
        person = Person(name, router, RestApi.at_socket(Path(socket)))
        try:
            for _ in range(2 * MOST_LOGINS):  # after each login, the tools are called
                if person.has_to_log_in():
                    person.log_in()
                    continue
                problem = person.call_all_tools()
                if not problem:
                    print(DONE)  # noqa: T201
                    return 0
                if "mcp-router login" in problem:  # a call wants further scopes
                    person.log_in()
        except LoginFailed as failure:
            print(failure, file=sys.stderr)  # noqa: T201
    return 1


def _login_keys() -> dict[str, Any]:
    """Return the key `oauth` of the entry, of what the suite says about the client."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    known = {
        "client_id": context.get("client_id"),
        "client_secret": context.get("client_secret"),
        "private_key": context.get("private_key_pem"),
    }
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    if "client-credentials" in scenario:
        known["grant"] = "client_credentials"
    given = {key: value for key, value in known.items() if value}
    # A server without metadata does not say that it wants OAuth, so its entry has to.
    return {"oauth": given} if given or scenario.endswith("endpoint-fallback") else {}


@attrs.frozen
class Person:
    """Somebody with a browser, who uses one instance."""

    name: str
    router: str
    api: RestApi

    def has_to_log_in(self) -> bool:
        """Wait until the instance is ready, or needs a login.

        Raises:
            LoginFailed: it comes to neither.
        """
        ends_at_s = time.monotonic() + READY_LIMIT_S
        while True:
            _, row = self._ask("GET", f"/api/instances/{self.name}")
            state = row.get("state")
            if state in ("ready", "needs_login"):
                return state == "needs_login"
            if state == "failed" or time.monotonic() > ends_at_s:
                raise LoginFailed(row)
            time.sleep(0.02)  # states are asked for, they are not announced

    def log_in(self) -> None:
        """Open the page of the login; the suite's servers let everybody in at once.

        Raises:
            LoginFailed: the router or its page says so.
        """
        status, begun = self._ask("POST", f"/api/instances/{self.name}/login")
        if status != 200:
            raise LoginFailed(begun)
        opener = urllib.request.build_opener(_Browser(f"http://{urlsplit(self.router).netloc}"))
        try:
            opener.open(begun["url"], timeout=READY_LIMIT_S).close()
        except urllib.error.HTTPError as page:
            with page:
                raise LoginFailed(page.read().decode()) from None

    def call_all_tools(self) -> str:
        """List the tools and call each; return what failed, and "" if all went well."""
        client = HttpClient(f"{self.router}/{self.name}")
        with closing(client):
            client.initialize()
            _, body = client.post({"id": 1, "method": "tools/list"})
            tools = json.loads(body).get("result", {}).get("tools", [])
            calls = [{"name": tool["name"], "arguments": {}} for tool in tools]
            answers = [
                client.post({"id": 2, "method": "tools/call", "params": params})[1]
                for params in calls
            ]
        failed = [answer.decode() for answer in answers if "result" not in json.loads(answer)]
        return "" if answers and not failed else " ".join(failed) or "there are no tools"

    def _ask(self, method: str, route: str) -> tuple[int, dict[str, Any]]:
        with closing(open_connection(self.api)) as connection:
            connection.request(method, route)
            response = connection.getresponse()
            return response.status, json.loads(response.read())


class _Browser(urllib.request.HTTPRedirectHandler):
    """Reaches the router at its public URL, as through a reverse proxy."""

    def __init__(self, router: str) -> None:
        self._router = router

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        url = self._router + newurl.removeprefix(PUBLIC_URL) if _is_public(newurl) else newurl
        return super().redirect_request(req, fp, code, msg, headers, url)


def _is_public(url: str) -> bool:
    return url.startswith(f"{PUBLIC_URL}/")


if __name__ == "__main__":
    sys.exit(main())
