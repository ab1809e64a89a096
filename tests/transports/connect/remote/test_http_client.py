"""The HTTP client behind the SDK: failures of one request, redirects, resumption, and DELETE."""

from __future__ import annotations

import socket
from typing import Any

import attrs
import pytest
import trio
from msgspec import Raw

from router.messages.errors import SESSION_LOST, TRANSPORT_ERROR
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    CutConnection,
    SseServer,
    answer,
    discovered,
    echo,
    error_of,
    initialized,
    never,
    notice,
    refusal,
    serve,
    session_server,
)
from transports.connect.remote.connect import connect_sse
from transports.connect.remote.http_client import MAX_REDIRECTS

# --- Failures of one request ---


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        ({"status": 503}, TRANSPORT_ERROR, "URL answered 503 Service Unavailable"),
        ({"status": 403}, TRANSPORT_ERROR, "URL answered 403 Forbidden; may the headers"),
        ({"status": 202}, TRANSPORT_ERROR, "URL answered 202 Accepted instead of an answer"),
        ({"body": b"<p>", "kind": "text/html"}, TRANSPORT_ERROR, "URL answered with text/html"),
        (
            {"body": b'{"jsonrpc"'},
            TRANSPORT_ERROR,
            "URL answered with something that is no JSON-RPC",
        ),
        (
            {
                "status": 400,
                "body": b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}',
            },
            -5,
            "no",
        ),
    ],
)
async def test_a_failing_request_is_answered_and_the_session_goes_on(
    reply: dict[str, Any], code: int, text: str
) -> None:
    async def play(call: Call) -> None:
        await (call.reply(**reply) if call.rpc == "bad" else call.result())

    async with initialized(session_server(play)) as talk:
        frame = await talk.request(3, "bad")
        assert isinstance(frame, ErrorResponse)
        assert frame.id == 3
        got_code, message = error_of(frame)
        assert got_code == code
        assert message.replace(talk.server.url, "URL").startswith(text)
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ({"status": 503, "retry_after": "7"}, (503, 7.0, False)),
        ({"status": 429, "body": b"slowly, please", "kind": "text/plain"}, (429, None, False)),
        ({"status": 200, "kind": "text/html"}, (200, None, False)),
        (
            {
                "status": 500,
                "body": b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}',
            },
            (500, None, True),
        ),
    ],
)
async def test_a_failed_request_is_told_from_an_answer(
    reply: dict[str, Any], failure: tuple[int, float | None, bool]
) -> None:
    async with initialized(session_server(lambda call: call.reply(**reply))) as talk:
        await talk.send(Request(3, "bad"))
        received = await talk.receive()
        told = received.failure
        assert told is not None
        assert (told.status, told.retry_after_s, told.is_answered) == failure
        assert isinstance(received.frame, ErrorResponse)
        _, message = error_of(received.frame)
        assert told.error.message == message or (told.is_answered and message in str(told.error))


async def test_a_broken_connection_has_no_status() -> None:
    async def play(call: Call) -> None:
        raise CutConnection

    async with initialized(session_server(play)) as talk:
        await talk.send(Request(3, "bad"))
        failure = (await talk.receive()).failure
        assert failure is not None
        assert (failure.status, failure.error.code) == (None, SESSION_LOST)


@pytest.mark.parametrize("headers_first", [True, False])
async def test_an_answer_that_breaks_off_is_an_error_to_its_request(headers_first: bool) -> None:
    async def play(call: Call) -> None:
        if call.rpc == "bad":
            if headers_first:
                await call.stream()
                await call.event(notice("notifications/message"))
            raise CutConnection
        await call.result()

    async with initialized(session_server(play)) as talk:
        frame = await talk.request(3, "bad")
        if headers_first:
            frame = (await talk.receive()).frame
        assert error_of(frame)[0] == SESSION_LOST
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_an_answer_in_one_piece_that_breaks_off_is_an_error_to_its_request() -> None:
    async def play(call: Call) -> None:
        if call.rpc == "bad":
            await call.all_but_the_end(answer(call.id, "{}"))
            raise CutConnection
        await call.result()

    async with initialized(session_server(play)) as talk:
        assert error_of(await talk.request(3, "bad"))[0] == SESSION_LOST
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_an_answer_in_one_piece_is_left_when_its_request_is_cancelled() -> None:
    begun, freed = trio.Event(), trio.Event()

    async def script(call: Call) -> None:
        if call.rpc == "slow":
            await call.all_but_the_end(answer(call.id, "{}"))
            begun.set()
            await call.closed()
            freed.set()
            raise CutConnection
        await call.result()

    async with discovered(script) as talk:
        await talk.send(Request(3, "slow"))
        await begun.wait()
        await talk.send(Notification("notifications/cancelled", Raw(b'{"requestId":3}')))
        await freed.wait()
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_an_answer_that_is_too_large_is_an_error_to_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.http_client.MAX_MESSAGE_BYTES", 100)

    async def play(call: Call) -> None:
        await call.result(f'"{"x" * 100}"' if call.rpc == "bad" else "{}")

    async with initialized(session_server(play)) as talk:
        code, message = error_of(await talk.request(3, "bad"))
        assert code == TRANSPORT_ERROR
        assert message == f"the answer of {talk.server.url} is larger than 16 MiB"
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # the library leaves it open
async def test_an_event_that_is_too_large_is_an_error_to_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.event_streams.MAX_MESSAGE_BYTES", 100)

    async def play(call: Call) -> None:
        await call.stream()
        await call.event(answer(call.id, f'"{"x" * 100}"' if call.rpc == "bad" else "{}"))
        await call.end()

    async with initialized(session_server(play)) as talk:
        code, message = error_of(await talk.request(3, "bad"))
        assert code == TRANSPORT_ERROR
        assert message.endswith("its event stream cannot be read")
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_a_server_that_takes_no_more_connections_is_alive_while_a_response_is_read() -> None:
    async def script(call: Call) -> None:
        if call.rpc == "slow":
            await call.stream()
            await call.event(notice("notifications/progress"))
            await never()
        await call.result(connection="close")

    async with discovered(script) as talk:
        await talk.send(Request(3, "slow"))
        await talk.receive()
        talk.server.door.cancel()
        code, message = error_of(await talk.request(5, "other"))
        assert code == TRANSPORT_ERROR
        assert message == f"cannot connect to {talk.server.url}: connection refused"


@attrs.define
class Resets:
    """Breaks connections at the moment at which a POST is to be written."""

    left: int = 0

    @classmethod
    def of(cls, monkeypatch: pytest.MonkeyPatch) -> Resets:
        resets, send_all = cls(), trio.SocketStream.send_all

        async def send_or_break(stream: trio.SocketStream, data: bytes) -> None:
            if resets.left and bytes(data).startswith(b"POST"):
                resets.left -= 1
                stream.socket.shutdown(socket.SHUT_RDWR)
            await send_all(stream, data)

        monkeypatch.setattr(trio.SocketStream, "send_all", send_or_break)
        return resets


async def test_a_request_of_which_nothing_was_sent_is_sent_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resets = Resets.of(monkeypatch)
    async with initialized(session_server(Call.result)) as talk:
        resets.left = 1
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
        assert len([call for call in talk.server.calls if call.rpc == "tools/call"]) == 1


async def test_a_request_is_not_sent_a_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    resets = Resets.of(monkeypatch)
    async with initialized(session_server(Call.result)) as talk:
        resets.left = 3
        assert error_of(await talk.request(3, "tools/call"))[0] == SESSION_LOST
        assert resets.left == 1


async def test_a_request_that_was_sent_is_not_sent_again() -> None:
    async def play(call: Call) -> None:
        raise CutConnection

    async with initialized(session_server(play)) as talk:
        assert error_of(await talk.request(3, "tools/call"))[0] == SESSION_LOST
        assert len([call for call in talk.server.calls if call.rpc == "tools/call"]) == 1


# --- Resumption ---


async def test_an_interrupted_answer_is_resumed_where_it_broke_off() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        await call.event(notice("notifications/message", '{"data":1}'), id="e2")
        raise CutConnection

    async def get(call: Call) -> None:
        if "last-event-id" not in call.headers:
            await call.reply(405)
            return
        assert call.headers["last-event-id"] == "e2"
        await call.stream()
        await call.event(notice("notifications/message", '{"data":2}'), id="e3")
        await call.event(answer(3, "{}"), id="e4")
        await call.end()

    async with initialized(session_server(play, get)) as talk:
        await talk.send(Request(3, "tools/call"))
        received = [await talk.receive() for _ in range(3)]
        assert [item.related for item in received] == [3, 3, 3]
        assert received[2].frame == Response(3, Raw(b"{}"))


async def test_an_answer_that_is_interrupted_twice_is_resumed_twice() -> None:
    resumed_from: list[str] = []

    async def play(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        raise CutConnection

    async def get(call: Call) -> None:
        if "last-event-id" not in call.headers:
            await call.reply(405)
            return
        resumed_from.append(call.headers["last-event-id"])
        await call.stream()
        if len(resumed_from) == 1:
            await call.event(notice("notifications/message"), id="e2", retry="1")
            raise CutConnection
        await call.event(answer(3, "{}"), id="e3")
        await call.end()

    async with initialized(session_server(play, get)) as talk:
        assert isinstance(await talk.request(3, "tools/call"), Notification)
        assert (await talk.receive()).frame == Response(3, Raw(b"{}"))
        assert resumed_from == ["e1", "e2"]


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # the library leaves it open
async def test_a_resumed_answer_that_is_too_large_is_an_error_to_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.event_streams.MAX_MESSAGE_BYTES", 100)

    async def play(call: Call) -> None:
        if call.rpc != "bad":
            await call.result()
            return
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        raise CutConnection

    async def get(call: Call) -> None:
        if "last-event-id" not in call.headers:
            await call.reply(405)
            return
        await call.stream()
        await call.event(answer(3, f'"{"x" * 100}"'))
        await call.end()

    async with initialized(session_server(play, get)) as talk:
        code, message = error_of(await talk.request(3, "bad"))
        assert code == TRANSPORT_ERROR
        assert message.endswith("its event stream cannot be read")
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_a_session_that_is_gone_when_an_answer_is_resumed_ends_the_wire() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        raise CutConnection

    async def get(call: Call) -> None:
        await call.reply(404 if "last-event-id" in call.headers else 405)

    async with initialized(session_server(play, get)) as talk:
        await talk.send(Request(3, "tools/call"))
        assert await talk.lost_reason() == "URL lost the session (it answered 404 Not Found)"


# --- Redirects ---


async def test_redirects_within_the_origin_are_followed() -> None:
    followed = trio.Event()

    async def script(call: Call) -> None:
        if call.target == "/mcp":
            await call.reply(307, location="/mcp/")
            return
        if call.rpc == "notifications/roots/list_changed":
            followed.set()
        await session_server(Call.result)(call)

    async with initialized(script) as talk:
        await talk.send(Notification("notifications/roots/list_changed"))
        assert await talk.request(3, "tools/list") == Response(3, Raw(b"{}"))
        await followed.wait()


async def test_redirects_to_another_origin_are_not_followed() -> None:
    async with serve(Call.result) as other:
        reason = await refusal(lambda call: call.reply(307, location=other.url))
        assert "not followed" in reason
        assert other.connections == 0


async def test_a_message_is_redirected_only_so_many_times() -> None:
    async def play(server: SseServer, call: Call) -> None:
        if call.rpc == "lost":
            await call.reply(307, location=call.target)
        else:
            await echo(server, call)

    async with initialized(SseServer(play), connect_sse) as talk:
        _, message = error_of(await talk.request(3, "lost"))
        assert message.startswith(f"{talk.server.url} answered 307 Temporary Redirect")
        sent = [call for call in talk.server.calls if call.rpc == "lost"]
        assert len(sent) == 1 + MAX_REDIRECTS


# --- DELETE ---


async def test_a_delete_that_is_not_answered_is_waited_for_only_briefly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.http_client.DELETE_S", 1.0)
    asked = trio.Event()

    async def script(call: Call) -> None:
        if call.method == "DELETE":
            asked.set()
            await never()
        await session_server(Call.result)(call)

    async with serve(script) as server:
        async with server.connect() as talk:
            await talk.initialize()
        assert asked.is_set()
