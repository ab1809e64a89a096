"""The settings as they may be shown: every secret is `{"set": true}` or `{"set": false}`.

Job: what `GET /api/config` tells of `config.json`. Neighbours: `listeners` hands it on; `settings`
below. Pure.

Invariant: what is kept out of a repr is masked here, so a secret is marked in one place only.
"""

from __future__ import annotations

from typing import Any, cast

import attrs

from router.messages.commands import SECRET_MASK


def masked(value: Any) -> Any:
    """The value as JSON can hold it, attrs classes as objects, secrets masked."""
    kind = cast("type[Any]", type(value))
    if attrs.has(kind):
        return {one.name: _shown(one, getattr(value, one.name)) for one in attrs.fields(kind)}
    if isinstance(value, dict):
        return {key: masked(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, (tuple, list)):
        return [masked(one) for one in cast("tuple[Any, ...]", value)]
    return value


def _shown(field: attrs.Attribute[Any], value: Any) -> Any:
    return masked(value) if field.repr else SECRET_MASK if value else {"set": False}
