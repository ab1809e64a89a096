"""What a principal may do, and how it is told that it may not.

Job: one check and its sentences. Neighbours: `admin`, `changes` and `from_client` ask. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.errors import NOT_ALLOWED, RpcError

if TYPE_CHECKING:
    from router.messages.commands import Permission, Principal


def check_may(principal: Principal, *needed: Permission) -> None:
    """Let those pass who have any of these permissions.

    Raises:
        RpcError: -32016, naming what is missing and what to do about it.
    """
    if principal.permissions.isdisjoint(needed):
        raise RpcError(NOT_ALLOWED, _why_not(principal, needed))


def check_may_name(principal: Principal, name: str) -> None:
    """Let those pass for whom an instance of this name would exist.

    Raises:
        RpcError: -32016, whether there is such an instance or not.
    """
    if principal.instances is not None and name not in principal.instances:
        raise RpcError(NOT_ALLOWED, f"'{name}' is not among the instances of this token")


def _why_not(principal: Principal, needed: tuple[Permission, ...]) -> str:
    if not principal.name and "admin" in needed:
        return (
            "Changing instances needs a token with the admin permission; "
            "set security.bearer_token in config.json"
        )
    permissions = " or ".join(f"'{permission}'" for permission in needed)
    return f"This needs the permission {permissions}, which '{principal.name}' does not have"
