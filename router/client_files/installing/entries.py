"""Writes the entry of this router in the words of each client. Pure.

Invariant: no entry holds a token. It holds a reference to `MCP_ROUTER_TOKEN`, in the form that the
client has for it. A client without references gets the command, which needs no token: the local
socket lets in the user who runs the router. Without local sockets, the command itself reads the
variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from router.client_files.clients.client import Client
    from router.client_files.installing.linked_router import LinkedRouter

ENTRY_NAME: Final = "mcp-router"
"""The name of the entry in every client."""

TOKEN_VARIABLE: Final = "MCP_ROUTER_TOKEN"

_INPUT_ID: Final = "mcp-router-token"
_INPUT: Final = {
    "type": "promptString",
    "id": _INPUT_ID,
    "description": "Token of MCP Router",
    "password": True,
}
"""A row of VS Code's `inputs`: it asks once and keeps the value in the system's keyring
(code.visualstudio.com/docs/agents/reference/mcp-configuration, Input variables)."""


class Entry(Struct, frozen=True):
    """The content that the file of a client gets.

    Attributes:
        value: of the entry.
        input: a row for VS Code's `inputs`, if the entry refers to it.
        notes: sentences about what the user has to do, or should know.
    """

    value: dict[str, Any]
    input: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def entry_for(client: Client, router: LinkedRouter) -> Entry:
    """Return the entry of the router for a client.

    A client that speaks streamable HTTP gets the URL, every other one the command.
    """
    if router.is_standalone or router.url is None or "http" not in client.speaks:
        return _command_entry(client, router)
    if not router.has_token:
        return Entry(_url_members(client, router.url))
    return _entry_with_token(client, router, router.url)


def _entry_with_token(client: Client, router: LinkedRouter, url: str) -> Entry:
    members = _url_members(client, url)
    if client.name == "codex":
        # It takes the name of a variable (developers.openai.com/codex/mcp).
        members["bearer_token_env_var"] = TOKEN_VARIABLE
        return Entry(members, notes=(_set_variable(client),))
    if client.name == "vscode":
        _put_header(members, client, f"Bearer ${{input:{_INPUT_ID}}}")
        return Entry(members, _INPUT, (f"{client.title} will ask for the token once",))
    reference = client.dialect.reference_to(TOKEN_VARIABLE)
    if reference is None:
        why = f"{client.title} has no references to variables, so it gets a command without a token"
        entry = _command_entry(client, router)
        return Entry(entry.value, notes=(why, *entry.notes))
    _put_header(members, client, f"Bearer {reference}")
    return Entry(members, notes=(_set_variable(client),))


def _set_variable(client: Client) -> str:
    return f"set {TOKEN_VARIABLE} to the router's token where {client.title} is started"


def _url_members(client: Client, url: str) -> dict[str, Any]:
    return {**_type_member(client, "http"), client.dialect.url_key: url}


def _put_header(members: dict[str, Any], client: Client, value: str) -> None:
    headers = members
    for key in client.dialect.headers_at:
        headers = headers.setdefault(key, {})
    headers["Authorization"] = value


def _command_entry(client: Client, router: LinkedRouter) -> Entry:
    words = router.command
    members = _type_member(client, "stdio")
    if client.dialect.command_is_array:
        members["command"] = words
    else:
        members |= {"command": words[0], "args": words[1:]}
    if router.is_standalone:
        return Entry(members)
    notes = (f"{client.title} joins the router that runs, and starts none",)
    return Entry(members, notes=notes)


def _type_member(client: Client, transport: str) -> dict[str, Any]:
    written = client.dialect.types.get(transport)
    return {} if written is None else {"type": written}


def snippet(router: LinkedRouter) -> dict[str, Any]:
    """Return what is to be pasted into a client whose settings are no file, such as AI Assistant.

    It takes JSON in the format of Claude (jetbrains.com/help/ai-assistant/mcp.html); without a
    reference to a variable, a router with a token is joined by the command.
    """
    command = router.command
    is_url = router.url is not None and not router.has_token and not router.is_standalone
    value = {"url": router.url} if is_url else {"command": command[0], "args": command[1:]}
    return {"mcpServers": {ENTRY_NAME: value}}
