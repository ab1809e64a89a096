"""The commands of the REST API, the command line and the management tools. Data only.

A listener sends a command to the core in an `AdminCommand`. The docstring of each command begins
with the type of its answer.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Raw, Struct

Permission: TypeAlias = Literal["call", "read", "approve", "admin"]
PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))


LOCAL_USER: Final = "@local"
"""The name of whoever comes through the local socket: the user who runs the router. No token has
such a name, so none is taken for it."""


class Principal(Struct, frozen=True):
    """The party on whose behalf a peer acts, and its permissions.

    Attributes:
        name: the name of its token, "stdio", "@local" on the local socket, or empty for a peer
            without a token; for a person of an identity provider, issuer and subject with a space
            between them. HTTP sessions belong to it.
        permissions: `call` tools, `read` states and logs, `approve` tools and calls of others, or
            `admin`: change instances.
        instances: the names of the instances that it may see; None for all.
        profile: the name of the only profile that it may see; None for every view.
    """

    name: str = ""
    permissions: frozenset[Permission] = PERMISSIONS
    instances: frozenset[str] | None = None
    profile: str | None = None

    @property
    def is_of_issuer(self) -> bool:
        """True if an identity provider vouches for it: no other name holds a space."""
        return " " in self.name


class TokenLifetime(Struct, frozen=True):
    """For how long the token of a request holds, in seconds of Trio's clock.

    Attributes:
        check_again_s: until then, requests with the same head need not be admitted again.
        expires_s: until then, streams may stay open that were opened with it.
    """

    check_again_s: float = math.inf
    expires_s: float = math.inf


FOREVER: Final = TokenLifetime()
"""A token of `config.json` ends only when the settings change."""


def forever(_: object) -> TokenLifetime:
    """Return the lifetime of a token that does not expire."""
    return FOREVER


class Asker(Struct, frozen=True):
    """Whoever asks for something outside the core, and the IP address it is asked from."""

    principal: Principal
    address: str = ""


class AddInstance(Struct, frozen=True):
    """Add an entry in `data/{provider}/`; `entry` is a JSON object as in `mcp_settings.json`."""

    provider: str
    entry: dict[str, Any]


class UpdateInstance(Struct, frozen=True):
    """Change the keys in `fields` of an entry, all of them or none; a null removes a key."""

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
    """-> list[dict], the rows of `mcp.router.list`, with `warnings`: a list of sentences."""


class ShowInstance(Struct, frozen=True):
    """-> dict, one row of `ListInstances`; by name, then by provider."""

    name: str


class ShowStatus(Struct, frozen=True):
    """-> list[dict], rows of `ListInstances` with `since_s`, `calls`, `in_flight`, `retry_in_s`.

    `tokens` of its tools are None until they were counted (`CountTools`).
    """


class ShowMetrics(Struct, frozen=True):
    """-> CoreMetrics."""


class ShowReadiness(Struct, frozen=True):
    """-> dict: how many of the instances that are enabled are ready, and which are not.

    `ready` and `total` are numbers, `not_ready` has name -> state. An idle instance counts as
    ready, because its next use starts it. `in_flight` is the number of all calls under way.
    """


class ListTools(Struct, frozen=True):
    """-> dict of instance name -> tools (name, description, inputSchema)."""


class ShowTools(Struct, frozen=True):
    """-> list of tools (name, description, inputSchema) of one instance."""

    name: str


class ShowProfileTools(Struct, frozen=True):
    """-> dict of `tools` and `total_tokens`: what a client of a profile is listed.

    Each tool has name, description, inputSchema, `instance` (None for the router's own tools) and
    `tokens`, an estimate.
    """

    name: str


class CountTools(Struct, frozen=True):
    """-> bool, True once it is counted how many tokens each tool costs.

    A part is counted for each such command, so that nothing else has to wait long.
    """


class ShowCosts(Struct, frozen=True):
    """-> dict: what the tools that were counted cost a model, of one instance or of all (None).

    `total_tokens` and `limit_tokens` (`server.auto_limit_tokens`) are numbers. `instances` has
    `name`, `tools` (how many) and `tokens`. `dearest` has the ten dearest tools: `instance`,
    `tool`, `tokens`, `share` of the total, and the tokens that `deny` of it or its description cut
    to one sentence would save: `deny_saves`, `describe_saves`. `places` names what
    `ShowViewCost` can be asked for. Of one instance, `tools` has name -> tokens of every tool.
    """

    instance: str | None = None


class ShowViewCost(Struct, frozen=True):
    """-> dict: `place`, `kind`, `tools`, `tokens`, `listed_tokens` and `reason` of a view.

    `tokens` are those of all its `tools`; a client of no known name is listed `listed_tokens`.
    `reason` says why, in an `auto` view; None in others.
    """

    place: str | None


class ShowViews(Struct, frozen=True):
    """-> list[dict]: what was chosen for the clients of `auto` views.

    Each has `place` (None for the default one), `client` (name and version, as it says), `kind`,
    `reason` and `sessions`, the number of sessions that this holds for.
    """


COST_COMMANDS: Final = (CountTools, ShowCosts, ShowViewCost, ShowViews)


class ShowDetails(Struct, frozen=True):
    """-> dict, the row of `ShowInstance` with what its server says of itself.

    Further keys are `server` (its `Implementation`, or None), `protocol`, `capabilities`,
    `instructions`, `counts` (of what is shown, by list) and `hidden` (of what a filter leaves out).
    """

    name: str


class ListResources(Struct, frozen=True):
    """-> dict of instance name -> the answer to `ShowResources`."""


class ShowResources(Struct, frozen=True):
    """-> dict of `resources` and `templates` of one instance, lists of raw objects."""

    name: str


class ListPrompts(Struct, frozen=True):
    """-> dict of instance name -> prompts: raw objects, as its server has them."""


class ShowPrompts(Struct, frozen=True):
    """-> list of prompts of one instance: raw objects, as its server has them."""

    name: str


class ListApprovals(Struct, frozen=True):
    """-> list[dict], the calls that wait for an approver, oldest first.

    Each has `id`, `principal`, `client`, `instance`, `tool` (the server's name), `arguments` (raw,
    as they will be sent), `arguments_sha256` (of these bytes), `waiting_s` and `expires_in_s`.
    """


class DecideApproval(Struct, frozen=True):
    """-> dict of `id`, `instance`, `tool` and `approved`.

    Attributes:
        id: of the row in `ListApprovals`.
        approve: True to have the call carried out, once; False to refuse it.
        arguments_sha256: of the arguments that the approver was shown; None only to refuse.
    """

    id: str
    approve: bool
    arguments_sha256: str | None = None


class ShowPins(Struct, frozen=True):
    """-> an object of `core.pinning.reviews`, whose `review` makes of it what is shown."""


class ApproveTools(Struct, frozen=True):
    """-> str, the instance's name, once the approval is safely on disk.

    Attributes:
        name: the instance; or, as `name#person:PERSON` with PERSON quoted as in a URL, the part of
            it that a person has: for this person and the user who runs the router.
        tools: the tools to approve, each with the digest that was shown; None for one that the
            server does not list any more.
    """

    name: str
    tools: dict[str, str | None]


class CallTool(Struct, frozen=True):
    """-> Raw, the upstream's own result, with `isError` or without.

    With `wants_news`, each progress and log message of the call comes before it: a `Notification`.
    """

    instance: str
    tool: str
    arguments: Raw
    wants_news: bool = False


class ReadResource(Struct, frozen=True):
    """-> Raw, the upstream's own result. The URI is the server's own."""

    instance: str
    uri: str


class GetPrompt(Struct, frozen=True):
    """-> Raw, the upstream's own result. The name is the server's own."""

    instance: str
    name: str
    arguments: Raw


class MakeChange(Struct, frozen=True):
    """-> str, the instance's name, once the change is safely on disk.

    With `wait_ready`, once the instance is ready, or the `RpcError` (-32013) that says why not.
    """

    change: Change
    wait_ready: bool = False


class RestartInstance(Struct, frozen=True):
    """-> str, the instance's name, once its sessions are told to end and to start anew.

    Calls in flight fail. With `wait_ready`, see `MakeChange`.
    """

    name: str
    wait_ready: bool = False


Forwarded: TypeAlias = CallTool | ReadResource | GetPrompt
"""The commands that a server answers."""

RouterCommand: TypeAlias = (
    ListInstances
    | ShowInstance
    | ShowStatus
    | ShowMetrics
    | ShowReadiness
    | ListTools
    | ShowTools
    | ShowProfileTools
    | CountTools
    | ShowCosts
    | ShowViewCost
    | ShowViews
    | ShowDetails
    | ListResources
    | ShowResources
    | ListPrompts
    | ShowPrompts
    | ListApprovals
    | DecideApproval
    | ShowPins
    | ApproveTools
    | Forwarded
    | MakeChange
    | RestartInstance
)
