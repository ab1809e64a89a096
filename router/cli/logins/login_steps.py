"""Carries a login on, from the first question to the router until it is over.

1. A browser on this machine is opened, and comes back to the router, or to this command where it
   has no way to the router.
2. Without a browser, a code for another device is shown, if the authorization server offers that.
3. Else the URL is printed. The browser comes back to the router, or to nobody: then the URL in its
   address bar is pasted here.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from router.cli.logins.browsers import is_web_page, open_page, own_browser
from router.cli.logins.callback_listener import PATH, callback_listener
from router.cli.logins.login_states import login_line
from router.cli.rest_api.names import known_instance
from router.cli.rest_api.requests import Refused, ask, get_json, route
from router.cli.terminal import complain, is_for_a_person, say
from router.cli.text_columns import safe_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from router.cli.rest_api.rest_client import RestApi

LOGIN_STEP_S: Final = 90.0
"""How long the router may take for a step: it asks several servers, each for ten seconds at most,
and answers one that waits for the end of a login after 25 s."""

PASTED_LIMIT_BYTES: Final = 65_536

NOBODY_URI: Final = f"http://127.0.0.1:8765{PATH}"
"""Where a browser comes back that can reach neither the router nor this command: to nobody, as a
rule, so that its address bar keeps the URL."""

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def list_needed(api: RestApi, *, as_json: bool) -> None:
    """Print the instances whose servers ask for a login, and the way out."""
    rows = [row for row in get_json(api, route("status")) if row["state"] == "needs_login"]
    if as_json:
        say_json([{"name": row["name"], "reason": row["last_error"]} for row in rows])
        return
    for row in rows:
        reason = row["last_error"] or f"run: mcp-router login {row['name']}"
        say(f"{safe_line(row['name'])}: {safe_line(reason)}\n")
    if not rows:
        say("No server needs a login.\n")


def log_in(api: RestApi, arguments: argparse.Namespace) -> None:
    """Log in, and say how it ended.

    Raises:
        ConfigError: it came to nothing.
    """
    login = RunningLogin(api, arguments.instance, arguments.person, to_stderr=arguments.json)
    with known_instance(api, arguments.instance):
        before = login.state()
    if arguments.device:
        login.on_another_device()
        ended = login.wait()
    elif not arguments.no_browser and own_browser():
        ended = login.in_browser(before)
    else:
        ended = login.elsewhere(before, may_use_device=not arguments.no_browser)
    attempt: dict[str, Any] = ended.get("attempt") or {}
    problem = attempt.get("problem")
    if problem or not ended["logged_in"]:
        why = problem or ended.get("problem") or "there is no token"
        raise ConfigError(safe_line(arguments.instance), f"not logged in: {safe_line(why)}")
    if arguments.json:
        say_json(ended)
    else:
        say(f"{login_line(ended)}\n")


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    # For start-up time: few want it.
    import msgspec

    from router.cli.running.status import printable_json

    say(f"{printable_json(msgspec.json.format(msgspec.json.encode(value), indent=2))}\n")


class RunningLogin(Struct):
    """One login.

    Attributes:
        api: of the router.
        name: of the instance.
        person: whose login it is; empty for who asks.
        to_stderr: what is said on the way is not for stdout.
    """

    api: RestApi
    name: str
    person: str
    to_stderr: bool = False

    # --- Ways to log in ---

    def in_browser(self, before: dict[str, Any]) -> dict[str, Any]:
        """Log in with the browser of this machine; return how it ended."""
        listening: AbstractContextManager[str] = nullcontext("")
        if before["redirect_uri"] is None or self.is_out_of_reach(before["redirect_uri"]):
            listening = callback_listener(self._take)
        with listening as redirect_uri:
            begun = self._begin(redirect_uri)
            url = _checked(begun["url"])
            if open_page(url):
                self._tell(f"Log in to {safe_line(self.name)} in your browser, or open\n{url}\n")
            else:
                self._tell(f"Open this page to log in to {safe_line(self.name)}:\n{url}\n")
            return self.wait()

    def elsewhere(self, before: dict[str, Any], *, may_use_device: bool) -> dict[str, Any]:
        """Log in where there is no browser; return how it ended."""
        if may_use_device and self._offers_device():
            return self.wait()
        begun = self._begin(self._uri_to_paste(before))
        url = _checked(begun["url"])
        self._tell(f"Open this page to log in to {safe_line(self.name)}:\n{url}\n")
        if is_for_a_person(sys.stdin) and "state" in begun:
            self._tell(
                "At the end the browser may not find a page. Then paste the URL of its address "
                "bar here:\n"
            )
            # Nobody may ever type anything, since the router hears of the end as well.
            Thread(target=self.take_pasted, args=(begun["state"],), daemon=True).start()
        return self.wait()

    def on_another_device(self) -> None:
        """Show the code for another device."""
        begun = self._post({"device": True})
        url, code = _checked(begun["url"]), safe_line(begun["user_code"])
        self._tell(f"Open {url} on any device, and type in the code {code}\n")
        if whole := begun.get("url_with_code"):
            self._tell(f"The same with the code in it: {_checked(whole)}\n")

    # --- Steps ---

    def state(self, *, wait: bool = False) -> dict[str, Any]:
        """Return how it is with the login; see docs/rest.md."""
        query = {"person": self.person} if self.person else {}
        query |= {"wait": "over"} if wait else {}
        target = self._route() + (f"?{urlencode(query)}" if query else "")
        return ask(self.api, "GET", target, timeout_s=LOGIN_STEP_S)

    def wait(self) -> dict[str, Any]:
        """Return how the login ended."""
        while True:
            state = self.state(wait=True)
            attempt = state.get("attempt")
            if attempt is None or attempt["over"]:
                return state

    def _begin(self, redirect_uri: str) -> dict[str, Any]:
        return self._post({"redirect_uri": redirect_uri} if redirect_uri else {})

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        whose = {"person": self.person} if self.person else {}
        return ask(self.api, "POST", self._route(), body | whose, timeout_s=LOGIN_STEP_S)

    def _offers_device(self) -> bool:
        try:
            self.on_another_device()
        except Refused:
            return False
        return True

    def is_out_of_reach(self, redirect_uri: str) -> bool:
        """Return whether the browser of this machine finds no router at this redirect URI."""
        is_on_this_machine = self.api.is_local or self.api.parts.hostname in _LOOPBACK
        return not is_on_this_machine and _is_loopback(redirect_uri)

    def _uri_to_paste(self, before: dict[str, Any]) -> str:
        """Return the redirect URI to ask for; empty for the router's own."""
        own = before["redirect_uri"]
        if own is None:
            return NOBODY_URI
        # The page for one person would be on the machine of the router, and the browser elsewhere.
        return own if before["person"] is not None and _is_loopback(own) else ""

    def _take(self, query: str) -> bool:
        """Hand the query of a callback to the router; return whether the login succeeded."""
        target = f"{self._route()}/callback"
        try:
            ask(self.api, "POST", target, {"url": query}, timeout_s=LOGIN_STEP_S)
        except ConfigError:
            return False  # the router says why when it is asked for the end of the login
        return True

    def take_pasted(self, state: str) -> None:
        """Hand what is pasted to the router, until it takes it."""
        # Not `sys.stdin`: a thread that waits in it would keep the program from ending.
        while pasted := os.read(0, PASTED_LIMIT_BYTES):
            text = pasted.decode(errors="replace").strip()
            if not text:
                continue
            is_url = "://" in text or "state=" in text
            query = text if is_url else urlencode({"code": text, "state": state})
            if self._take(query) or not is_url or state in text:
                return  # a refusal ends this login, and who waits for its end says why
            complain("The router did not take that; paste the whole URL of the last page")

    def _route(self) -> str:
        return route("instances", self.name, "login")

    def _tell(self, text: str) -> None:
        if self.to_stderr:
            sys.stderr.write(text)
            sys.stderr.flush()
        else:
            say(text)


def _checked(url: str) -> str:
    """Return the URL of a page.

    Raises:
        ConfigError: it is none, and must neither be opened nor shown as one.
    """
    if not is_web_page(url):
        raise ConfigError(safe_line(url), "the router gave this URL to open, which is no web page")
    return url


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK
