"""The bytes of server-sent events."""

from __future__ import annotations

from transports.listen.serving.server_sent_events import encode_event


def test_event_is_one_line_of_data() -> None:
    assert encode_event(b"{}\n", event_id=b"1-2") == b"event: message\nid: 1-2\ndata: {}\n\n"
    assert encode_event(b"/x", kind=b"endpoint") == b"event: endpoint\ndata: /x\n\n"
