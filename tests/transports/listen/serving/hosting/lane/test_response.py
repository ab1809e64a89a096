"""Responses as h11 writes them; how they differ from Hypercorn's is in `test_same_answers`."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from transports.listen.serving.exchange import Answer
from transports.listen.serving.hosting.lane.response import answer_head, as_chunk, stream_head

CLOSE = (b"connection", b"close")


def without_date(head: bytes) -> bytes:
    return b"".join(line for line in head.splitlines(True) if not line.startswith(b"date: "))


def test_date_is_that_of_now() -> None:
    before_s = int(time.time())
    head = answer_head(Answer(200, ()))
    date = head.partition(b"\r\ndate: ")[2].partition(b"\r\n")[0].decode()
    assert before_s <= parsedate_to_datetime(date).timestamp() <= time.time()


def test_answer_tells_its_length_unless_it_can_have_no_body() -> None:
    answer = Answer(404, ((b"a", b"b"),), b"body")
    expected = b"HTTP/1.1 404 \r\na: b\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"
    assert without_date(answer_head(answer, CLOSE)) == expected
    assert without_date(answer_head(Answer(204, ()))) == b"HTTP/1.1 204 \r\n\r\n"


def test_answers_with_the_same_headers_have_lengths_of_their_own() -> None:
    first, second = (answer_head(Answer(200, (), body)) for body in (b"1", b"22"))
    assert b"content-length: 1\r\n" in first
    assert b"content-length: 2\r\n" in second


def test_event_stream_is_chunked() -> None:
    expected = b"HTTP/1.1 200 \r\na: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert without_date(stream_head([(b"a", b"b")])) == expected


def test_empty_data_is_no_chunk_because_that_would_end_the_body() -> None:
    assert as_chunk(b"") == b""
    assert as_chunk(b"0123456789abcdef") == b"10\r\n0123456789abcdef\r\n"
