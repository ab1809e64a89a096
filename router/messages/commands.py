"""What is asked of the router itself: who asks, which changes there are, which questions.

Job: the vocabulary of the REST API, the command line and the management tools. Neighbours:
`messages` wraps it in an event; listeners make it, the core answers it. Data only.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from msgspec import Raw, Struct

Permission: TypeAlias = Literal["call", "read", "admin"]
PERMISSIONS: Final[frozenset[Permission]] = frozenset({"call", "read", "admin"})


class Principal(Struct, frozen=True):
    """Who somebody is and what they may do.

    Attributes:
        name: of the token, `ANONYMOUS` or `stdio`; sessions belong to it.
        permissions: `call` tools, `read` states and logs, `admin`: change instances.
        instances: the only ones there are for them; None for all.
    """

    name: str = ""
    permissions: frozenset[Permission] = PERMISSIONS
    instances: frozenset[str] | None = None


class AddInstance(Struct, frozen=True):
    """Add an entry in `data/{provider}/`; `entry` is a JSON object as in `mcp_settings.json`."""

    provider: str
    entry: dict[str, Any]


class UpdateInstance(Struct, frozen=True):
    """Change the given keys of an entry, all or none of them; a null removes a key."""

    name: str
    fields: dict[str, Any]


class RemoveInstance(Struct, frozen=True):
    """Remove an entry."""

    name: str


class SetActive(Struct, frozen=True):
    """Enable or disable an instance."""

    name: str
    is_active: bool


Change: TypeAlias = AddInstance | UpdateInstance | RemoveInstance | SetActive

OUTER_KEYS: Final[tuple[str, str]] = ("mcpServers", "servers")
"""Keys that an entry may be wrapped in; inside an entry they are refused."""

SECRET_MASK: Final = {"set": True}
"""Shown in place of a secret; written back, it leaves the value as the file has it."""


class ListInstances(Struct, frozen=True):
    """-> list[dict], the value of `mcp.router.list`."""


class ShowInstance(Struct, frozen=True):
    """-> dict, one row of `ListInstances`; by name, then by provider."""

    name: str


class ShowStatus(Struct, frozen=True):
    """-> list[dict], rows of `ListInstances` with `since_s`, `calls`, `in_flight`, `retry_in_s`."""


class ListTools(Struct, frozen=True):
    """-> dict of instance name -> tools (name, description, inputSchema)."""


class ShowTools(Struct, frozen=True):
    """-> list of tools (name, description, inputSchema) of one instance."""

    name: str


class CallTool(Struct, frozen=True):
    """-> Raw, the upstream's own result, whether it `isError` or not."""

    instance: str
    tool: str
    arguments: Raw


class MakeChange(Struct, frozen=True):
    """-> str, the instance's name, once the change is safely on disk.

    With `wait_ready`, once the instance is ready, or the `RpcError` (-32013) that says why not.
    """

    change: Change
    wait_ready: bool = False


RouterCommand: TypeAlias = (
    ListInstances | ShowInstance | ShowStatus | ListTools | ShowTools | CallTool | MakeChange
)
