"""Checks what a principal may do, and words the refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.errors import NOT_ALLOWED, RpcError

if TYPE_CHECKING:
    from router.messages.commands import Permission, Principal


def check_may(principal: Principal, *needed: Permission) -> None:
    """Check that a principal has at least one of these permissions.

    Raises:
        RpcError: -32016, with the missing permission and the way to get it.
    """
    if principal.permissions.isdisjoint(needed):
        raise RpcError(NOT_ALLOWED, _missing_permission(principal, needed))


def check_may_name(principal: Principal, name: str) -> None:
    """Check that a principal may see an instance of this name.

    Raises:
        RpcError: -32016; it does not tell whether an instance of this name exists.
    """
    if principal.instances is not None and name not in principal.instances:
        raise RpcError(NOT_ALLOWED, f"'{name}' is not among the instances of this token")


def _missing_permission(principal: Principal, needed: tuple[Permission, ...]) -> str:
    if not principal.name and "admin" in needed:
        return (
            "Changing instances needs a token with the admin permission; "
            "set security.bearer_token in config.json"
        )
    if not principal.name and "approve" in needed:
        return (
            "Approving needs a token with the permission 'approve', or mcp-router approve on the "
            "machine of the router, as its user"
        )
    permissions = " or ".join(f"'{permission}'" for permission in needed)
    return f"This needs the permission {permissions}, which '{principal.name}' does not have"
