"""The parts of messages that listeners read."""

from __future__ import annotations

from msgspec import Raw

from transports.listen.serving.client_messages import error_code, negotiated_revision


def test_result_and_error_of_odd_shapes_say_nothing() -> None:
    assert negotiated_revision(Raw(b'{"protocolVersion":"2025-06-18","x":1}')) == "2025-06-18"
    assert negotiated_revision(Raw(b"[]")) == ""
    assert error_code(Raw(b'{"code":-32022}')) == -32022
    assert error_code(Raw(b'"no"')) == 0
