"""The client on stdio: its lines, its unanswered requests, and the answers to its batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification
from tests.transports.listen.stdio.stdio_client import answer, request
from transports.json_rpc import MAX_BATCH_MESSAGES
from transports.listen.stdio import outbox
from transports.listen.stdio.client import StdioClient

if TYPE_CHECKING:
    from router.messages.events import FromClient
    from tests.transports.listen.stdio.stdio_client import Wire


def decode(client: StdioClient, message: Any) -> list[FromClient]:
    return client.decode(json.dumps(message).encode())


@pytest.fixture
def client() -> StdioClient:
    return StdioClient()


@pytest.fixture
def batch_client(client: StdioClient) -> StdioClient:
    """Return a client with a revision that has batches."""
    (initialize,) = decode(client, request(0, "initialize"))
    answer(initialize, {"protocolVersion": "2025-03-26"})
    return client


# --- Unanswered requests ---------------------------------------------------------------------


def test_requests_count_until_each_is_answered_or_given_up(client: StdioClient) -> None:
    (first,), (second,), (third,) = (decode(client, request(number)) for number in range(3))
    first.reply_to.send_nowait(Notification("notifications/progress"))
    answer(first)
    second.reply_to.send_nowait(ErrorResponse(1, Raw(b"{}")))
    assert not client.all_answered.is_set()
    third.reply_to.close()
    assert client.all_answered.is_set()


def test_notification_does_not_count(client: StdioClient) -> None:
    assert decode(client, {"jsonrpc": "2.0", "method": "notifications/x"})
    assert client.all_answered.is_set()


def test_later_request_counts_again(client: StdioClient) -> None:
    answer(decode(client, request(1))[0])
    decode(client, request(2))
    assert not client.all_answered.is_set()


# --- Initialize ------------------------------------------------------------------------------


def test_answer_to_initialize_names_the_revision(client: StdioClient) -> None:
    (other,) = decode(client, request(1))
    (initialize,) = decode(client, request(2, "initialize"))
    answer(other, {"protocolVersion": "2024-11-05"})
    assert not client.initialize_answered.is_set()
    answer(initialize, {"protocolVersion": "2025-03-26"})
    assert client.initialize_answered.is_set()
    assert client.revision == "2025-03-26"


def test_refused_initialize_is_answered_and_may_be_repeated(client: StdioClient) -> None:
    (refused,) = decode(client, request(1, "initialize"))
    refused.reply_to.send_nowait(ErrorResponse(1, Raw(b"{}")))
    assert client.initialize_answered.is_set()
    assert client.revision is None
    (again,) = decode(client, request(2, "initialize"))
    assert not client.initialize_answered.is_set()
    answer(again, {"protocolVersion": "2025-11-25"})
    assert client.revision == "2025-11-25"


# --- Invalid lines ---------------------------------------------------------------------------


def test_invalid_line_after_the_end_is_dropped(client: StdioClient) -> None:
    client.outbox.end("the router stops")
    assert client.decode(b"{") == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":7}', -32600),
        (b"null", -32600),
        (b"[" * 100_000, -32700),
    ],
)
async def test_malformed_line_is_answered_and_harms_nobody(
    wire: Wire, line: bytes, code: int
) -> None:
    await wire.to_router.send_all(line + b"\n")
    assert (await wire.hear())["error"]["code"] == code
    await wire.say(request(1))
    await wire.asked()


# --- Batches ---------------------------------------------------------------------------------


async def test_batch_is_answered_by_one_array(wire: Wire) -> None:
    await wire.negotiate("2025-03-26")
    await wire.say([request(1), {"jsonrpc": "2.0", "method": "notifications/x"}, 5, request(2)])
    first, notified, second = await wire.asked(), await wire.event(), await wire.asked()
    assert notified.frame == Notification("notifications/x")
    answer(second)
    first.reply_to.send_nowait(Notification("notifications/progress"))
    answer(first)
    assert (await wire.hear())["method"] == "notifications/progress"
    batch = await wire.hear()
    assert [one["id"] for one in batch] == [None, 2, 1]
    assert batch[0]["error"]["code"] == -32600


async def test_cancelled_member_of_a_batch_is_left_out(wire: Wire) -> None:
    await wire.negotiate("2025-03-26")
    await wire.say([request(1), request(2)])
    first, second = await wire.asked(), await wire.asked()
    answer(first)
    second.reply_to.close()
    assert [one["id"] for one in await wire.hear()] == [1]


async def test_batch_of_nothing_but_notifications_has_no_answer(wire: Wire) -> None:
    await wire.negotiate("2025-03-26")
    await wire.say([{"jsonrpc": "2.0", "method": "notifications/x"}], request(1))
    await wire.event()
    answer(await wire.asked())
    assert (await wire.hear())["id"] == 1


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_batch_at_another_revision_is_refused(wire: Wire, revision: str) -> None:
    await wire.negotiate(revision)
    await wire.say([request(1)])
    error = await wire.hear()
    assert (error["id"], error["error"]["code"]) == (None, -32600)


@pytest.mark.parametrize("batch", [[], [request(1)] * (MAX_BATCH_MESSAGES + 1)])
async def test_batch_of_no_size_that_makes_sense_is_refused(wire: Wire, batch: list[Any]) -> None:
    await wire.negotiate("2025-03-26")
    await wire.say(batch)
    assert (await wire.hear())["error"]["code"] == -32600


def test_members_of_a_batch_count_as_single_requests_do(batch_client: StdioClient) -> None:
    first, second = decode(batch_client, [request(1), request(2)])
    answer(first)
    assert not batch_client.all_answered.is_set()
    second.reply_to.close()
    assert batch_client.all_answered.is_set()


def test_array_that_does_not_fit_is_would_block(
    batch_client: StdioClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 1)
    (only,) = decode(batch_client, [request(1)])
    with pytest.raises(trio.WouldBlock):
        answer(only)


def test_array_that_does_not_fit_after_a_cancellation_ends_the_client(
    batch_client: StdioClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 1)
    first, second = decode(batch_client, [request(1), request(2)])
    answer(first)
    second.reply_to.close()
    assert batch_client.outbox.ended.is_set()
    assert batch_client.outbox.reason == "the client reads too slowly"


def test_cancelled_member_after_the_end_of_the_client_is_no_fault(
    batch_client: StdioClient,
) -> None:
    first, second = decode(batch_client, [request(1), request(2)])
    answer(first)
    batch_client.outbox.end("the router stops")
    second.reply_to.close()
    assert batch_client.all_answered.is_set()
