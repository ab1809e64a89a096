"""Errors say what they are."""

from router.messages.errors import ConfigError, HttpRefusal, RpcError


def test_an_error_reads_as_its_message() -> None:
    assert str(RpcError(-32011, "Timeout exceeded: 30s")) == "Timeout exceeded: 30s"
    assert str(ConfigError("config.json: api.port", "expected an integer")) == (
        "config.json: api.port: expected an integer"
    )
    assert str(HttpRefusal(404, "Session not found")) == "404 Session not found"


def test_an_error_of_an_upstream_is_the_transports() -> None:
    assert RpcError(-1, "").string_code == "TRANSPORT_ERROR"
    assert RpcError(-32011, "").string_code == "TIMEOUT"
