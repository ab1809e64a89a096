"""Names the fields that a log line may have besides its text, for `extra` of `logging`.

JSON logs show them as members; see `logging.format` in docs/configuration.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.instances.instance_spec import CLIENT_MARK

if TYPE_CHECKING:
    from router.messages.commands import Principal


def about(instance: str) -> dict[str, str]:
    """Return the fields of a line about an instance, or about one of its sessions."""
    return {"instance": instance.partition(CLIENT_MARK)[0]}


def by(principal: Principal | None) -> dict[str, str]:
    """Return the fields of a line about a request of this client."""
    return {"principal": "" if principal is None else principal.name}
