from __future__ import annotations

import pytest

from benchmarks.client import answer_in
from benchmarks.native.native import LoadError

ANSWER = b'{"jsonrpc":"2.0","id":3,"result":{}}'


@pytest.mark.parametrize(
    "body",
    [
        ANSWER,
        b" " + ANSWER + b"\n",
        b"event: message\r\ndata: " + ANSWER + b"\r\n\r\n",
        b": ping\n\ndata:\n\nid: 1\ndata: " + ANSWER + b"\n\n",
        b'data: {"jsonrpc":"2.0","id":3,"method":"ping"}\n\ndata: ' + ANSWER + b"\n\n",
    ],
)
def test_answer_is_found_in_json_and_in_event_streams(body: bytes) -> None:
    assert answer_in(body, 3)["result"] == {}


@pytest.mark.parametrize("body", [b"", ANSWER.replace(b"3", b"4"), b": ping\n\n"])
def test_a_body_without_the_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(LoadError, match="No answer to 3"):
        answer_in(body, 3)
