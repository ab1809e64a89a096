"""Responses as h11 writes them; how they differ from Hypercorn's is in `test_same_answers`."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from transports.listen.serving.hosting.lane.response import as_chunk, has_length, response_head


def test_date_is_that_of_now() -> None:
    before_s = int(time.time())
    head = response_head(200, [(b"content-length", b"0")], is_chunked=False)
    date = head.partition(b"\r\ndate: ")[2].partition(b"\r\n")[0].decode()
    assert before_s <= parsedate_to_datetime(date).timestamp() <= time.time()


def test_body_without_a_length_is_chunked_unless_there_is_none() -> None:
    assert has_length(200, [(b"content-length", b"0")])
    assert has_length(204, [])
    assert not has_length(200, [(b"content-type", b"text/event-stream")])


def test_empty_data_is_no_chunk_because_that_would_end_the_body() -> None:
    assert as_chunk(b"") == b""
    assert as_chunk(b"0123456789abcdef") == b"10\r\n0123456789abcdef\r\n"
