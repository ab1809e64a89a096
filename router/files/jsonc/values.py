"""Compares and changes the values that files hold: objects, arrays and scalars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_value(whole: Any, path: Sequence[str]) -> Any:
    """Return the value at a path of keys; None if it is not there."""
    for key in path:
        if not isinstance(whole, dict):
            return None
        whole = cast("dict[str, Any]", whole).get(key)
    return whole


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in a value, but for keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        whole = cast("dict[str, Any] | list[Any]", value)
        for one in whole.values() if isinstance(whole, dict) else whole:
            yield from texts_in(one)


def same_value(left: Any, right: Any) -> bool:
    """Return whether two values are written alike, in types and in the order of keys as well."""
    return _same(left, right, by_order=True)


def same_value_in_any_order(left: Any, right: Any) -> bool:
    """Return whether two values are written alike but for the order of keys."""
    return _same(left, right, by_order=False)


def _same(left: Any, right: Any, *, by_order: bool) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        mine, others = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        same_keys = list(mine) == list(others) if by_order else mine.keys() == others.keys()
        return same_keys and all(_same(mine[k], others[k], by_order=by_order) for k in mine)
    if isinstance(left, list):
        items, other_items = cast("list[Any]", left), cast("list[Any]", right)
        pairs = zip(items, other_items, strict=False)
        is_as_long = len(items) == len(other_items)
        return is_as_long and all(_same(a, b, by_order=by_order) for a, b in pairs)
    return left == right or (left != left and right != right)  # not a number


def with_value(whole: Any, path: Sequence[str], value: Any) -> Any:
    """Return an object with another value at a path; missing objects on the way are made."""
    if not path:
        return value
    members = cast("dict[str, Any]", whole)
    return {**members, path[0]: with_value(members.get(path[0], {}), path[1:], value)}


def without_value(whole: Any, path: Sequence[str | int]) -> Any:
    """Return an object or array without the value at a path, which is there."""
    key, rest = path[0], path[1:]
    if isinstance(whole, list):
        items = cast("list[Any]", whole)
        index = cast("int", key)
        kept = [without_value(items[index], rest)] if rest else []
        return [*items[:index], *kept, *items[index + 1 :]]
    members = cast("dict[str, Any]", whole)
    if not rest:
        return {name: value for name, value in members.items() if name != key}
    name = cast("str", key)
    return {**members, name: without_value(members[name], rest)}
