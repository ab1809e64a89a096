"""Cuts the text of tool results that are larger than an instance's `max_result_bytes`.

The whole text is kept for a while, as a resource with pages that the client can read. The first
page is what the cut result still shows.

Invariants:

- Nothing is lost but with a word: the cut result says how much it lacks, and where that is.
- A kept text is read only by the owner of its call: the same principal, from the same place; if the
  principal has no name, the same session or connection, or whoever knows the URI.
- Images, audio, links and embedded resources stay as they are. So does `structuredContent` if the
  tool has an `outputSchema`, because clients check it against that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from router.core.bounded.kept_results import KEPT_S
from router.core.bounded.long_text import LongText
from router.core.calls import forwarding
from router.core.names import resource_uris
from router.core.protocol.bridging import NOT_CACHED, has_resource_links
from router.core.protocol.permissions import check_may
from router.core.tasks.handles import owner_of
from router.core.text.raw_json import check_key_case, is_object, optional_text_of, raw_of
from router.messages.errors import INVALID_PARAMS, RESOURCE_NOT_FOUND, RpcError
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState

    Rewrite = Callable[[Raw], Raw]

_array: Final = msgspec.json.Decoder(list[Raw])

_KEPT_MIN: Final = f"{KEPT_S / 60:g} minutes"


# --- Cutting ---------------------------------------------------------------------------------


def limited(
    state: RoutingState,
    client: Client,
    instance: Instance,
    tool: str | None,
    rewrite: Rewrite | None,
) -> Rewrite | None:
    """Return the function that rewrites the result of a call, and cuts it if it is too large.

    A call over REST is never cut: REST has no resources.

    Args:
        client: gets the result.
        instance: answers.
        tool: the name under which it lists the tool; None if that is not known.
        rewrite: what is done to the result otherwise; None for nothing.
    """
    limit = instance.spec.run_policy.max_result_bytes
    if limit is None or client.era == "own":
        return rewrite

    def rewrite_and_cut(result: Raw) -> Raw:
        result = result if rewrite is None else rewrite(result)
        # JSON writes no text with fewer bytes than it has.
        if len(result) <= limit:
            return result
        try:
            return _cut(state, client, instance, tool, limit, result)
        except (RpcError, msgspec.MsgspecError, RecursionError):
            return result  # It is no result of a tool; the client may make sense of it.

    return rewrite_and_cut


def _cut(
    state: RoutingState,
    client: Client,
    instance: Instance,
    tool: str | None,
    limit: int,
    result: Raw,
) -> Raw:
    members = object_of(result, "result")
    items = _array.decode(members.get("content", b"[]"))
    texts = [_text_in(item) for item in items]
    parts = [text for text in texts if text is not None]
    if sum(map(len, parts)) <= limit:
        return result
    structure = given(members, "structuredContent")
    is_left_out = (
        structure is not None and len(structure) > limit and not _has_schema(instance, tool)
    )
    if structure is not None and is_left_out:
        del members["structuredContent"]
        if not _says_the_same(parts, structure):
            parts.append(bytes(structure))
    text = LongText.of(b"\n".join(parts), limit)
    more = _pointers(client, text, _keep(state, client, instance, text), is_left_out=is_left_out)
    members["content"] = raw_of(_shown(items, texts, text.ends[0], more))
    return raw_of(members)


def _text_in(item: Raw) -> bytes | None:
    """Return the text of an item of content; None if it is of another kind."""
    if not is_object(item):
        return None
    members = object_of(item, "content")
    text = optional_text_of(members, "text")
    if text is None or optional_text_of(members, "type") != "text":
        return None
    return text.encode()


def _has_schema(instance: Instance, tool: str | None) -> bool:
    """Return whether clients may check the structure of a tool's results."""
    if tool is None:
        return True
    listed = (item for item in instance.offers.catalog.tools if item.key == tool)
    return any(b'"outputSchema"' in bytes(item.raw) for item in listed)


def _says_the_same(parts: list[bytes], structure: Raw) -> bool:
    """Return whether the text is the structure once more, as it should be.

    Source: MCP 2025-11-25, Tools, Structured Content.
    """
    if len(parts) != 1:
        return False
    try:
        return bool(msgspec.json.decode(parts[0]) == msgspec.json.decode(structure))
    except (msgspec.MsgspecError, RecursionError):
        return False


def _shown(
    items: list[Raw], texts: list[bytes | None], shown_bytes: int, more: list[Any]
) -> list[Any]:
    """Return the items of a cut result, with `more` in the place where its text ends."""
    shown: list[Any] = []
    left = shown_bytes
    for item, text in zip(items, texts, strict=True):
        if text is None:
            shown.append(item)
            continue
        if len(text) <= left:
            shown.append(item)
        elif left > 0:
            begin = text[:left].decode()
            shown.append(object_of(item, "content") | {"text": raw_of(begin)})
        is_end = left > 0 >= left - len(text) - 1  # The texts are joined with line ends.
        shown += more if is_end else []
        left -= len(text) + 1
    return shown


def _pointers(client: Client, text: LongText, uri: str | None, *, is_left_out: bool) -> list[Any]:
    """Return the items that say what is missing and where it is."""
    said = f"[Cut after {text.ends[0]:,} of {len(text.data):,} bytes"
    said += ", and its structuredContent left out" if is_left_out else ""
    if uri is None:
        said += ". The rest is too large to be kept: ask for less at a time.]"
        return [{"type": "text", "text": said}]
    pages = len(text.ends)
    following = f"{uri}?page=2"
    said += f". Read on in the resource {following} of {pages} pages, kept for {_KEPT_MIN}.]"
    items: list[Any] = [{"type": "text", "text": said}]
    if has_resource_links(client.revision):
        name = f"Page 2 of {pages}"
        link = {"type": "resource_link", "uri": following, "name": name, "mimeType": "text/plain"}
        items.append(link)
    return items


# --- Keeping and reading ---------------------------------------------------------------------


def _keep(state: RoutingState, client: Client, instance: Instance, text: LongText) -> str | None:
    """Keep a text and return the URI of its first page; None if it is too long."""
    key = state.next_key()
    if not state.kept_results.keep(key, text, client.principal.name, state.now_s):
        return None
    sealed = state.seal.seal(str(key).encode(), _context(client, instance.name))
    return resource_uris.result_uri(instance.name, sealed)


def _context(client: Client, instance: str) -> bytes:
    return bytes(raw_of([*astuple(owner_of(client)), instance, "result"]))


def readable(method: Method) -> Method:
    """Return a method for `resources/read` that reads kept results as well."""

    def carry_out(state: RoutingState, request: ClientRequest) -> None:
        uri = optional_text_of(request.params.members, "uri")
        named = None if uri is None else resource_uris.own_result(uri)
        if uri is None or named is None or not _answer(state, request, uri, *named):
            method(state, request)

    return carry_out


_KEYS: Final = frozenset({"uri"})


def _answer(
    state: RoutingState,
    request: ClientRequest,
    uri: str,
    instance: str,
    sealed: str,
    page: int | None,
) -> bool:
    """Answer with a page of a kept result; return False if the URI may be the server's own.

    Raises:
        RpcError: -32002, this client has no such result (any more); -32602, it has no such page;
            -32016, the client may not call.
    """
    client = request.client
    check_key_case(request.params.members, _KEYS)
    check_may(client.principal, "call")
    view = state.view_of(client)
    try:
        key = int(state.seal.unseal(sealed, _context(client, instance)))
    except ValueError:
        if view.is_transparent:
            return False  # Its server may be an MCP Router itself.
        raise _no_such_result(uri) from None
    if instance not in view.seen_by(state.instances, client.principal).by_name:
        raise _no_such_result(uri)
    text = state.kept_results.find(key)
    if text is None:
        message = f"Results are kept for {_KEPT_MIN}, and this one is gone; call the tool again"
        raise RpcError(RESOURCE_NOT_FOUND, message, {"uri": uri})
    if page is None or not 1 <= page <= len(text.ends):
        raise RpcError(INVALID_PARAMS, f"params.uri: ?page= must be 1 to {len(text.ends)}")
    base = resource_uris.result_uri(instance, sealed)
    result = _page_result(uri, base, text, page)
    forwarding.answer(state, request, raw_of(result | (NOT_CACHED if client.is_stateless else {})))
    return True


def _no_such_result(uri: str) -> RpcError:
    """Return the error for a result of another client, or of a router before its restart."""
    message = (
        "Resource not found: a result can be read only by the client and in the session that it "
        "was for, until the router is restarted; call the tool again"
    )
    return RpcError(RESOURCE_NOT_FOUND, message, {"uri": uri})


def _page_result(uri: str, base: str, text: LongText, page: int) -> dict[str, Any]:
    pages = len(text.ends)
    said = f"[Page {page} of {pages}: bytes {text.begin_of(page) + 1:,} to {text.ends[page - 1]:,}"
    said += f" of {len(text.data):,}. "
    said += f"Read on at {base}?page={page + 1}]" if page < pages else "This is the end.]"
    contents = [
        {"uri": uri, "mimeType": "text/plain", "text": shown} for shown in (text.page(page), said)
    ]
    return {"contents": contents}
