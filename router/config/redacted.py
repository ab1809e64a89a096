"""Shows the settings with each secret as `{"set": true}` or `{"set": false}`.

Used for `GET /api/config`. A field that is kept out of its class's repr is masked here as well, so
a secret is marked in one place only.
"""

from __future__ import annotations

from typing import Any, cast

import attrs

from router.messages.commands import SECRET_MASK


def mask_secrets(value: Any) -> Any:
    """Return the value as JSON can hold it: attrs classes as objects, secrets masked."""
    kind = cast("type[Any]", type(value))
    if attrs.has(kind):
        return {
            field.name: _field_value(field, getattr(value, field.name))
            for field in attrs.fields(kind)
        }
    if isinstance(value, dict):
        return {key: mask_secrets(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, (tuple, list)):
        return [mask_secrets(item) for item in cast("tuple[Any, ...]", value)]
    return value


def _field_value(field: attrs.Attribute[Any], value: Any) -> Any:
    if field.repr:
        return mask_secrets(value)
    return SECRET_MASK if value else {"set": False}
