"""Errors, and their codes in both families."""

import pytest

from router.messages.errors import STRING_CODES, ConfigError, HttpRefusal, RpcError


def test_an_error_reads_as_its_message() -> None:
    assert str(RpcError(-32011, "Timeout exceeded: 30s")) == "Timeout exceeded: 30s"
    assert str(ConfigError("config.json: api.port", "expected an integer")) == (
        "config.json: api.port: expected an integer"
    )
    assert str(HttpRefusal(404, "Session not found")) == "404 Session not found"


def test_a_code_of_an_upstream_is_a_transport_error() -> None:
    assert RpcError(-1, "").string_code == "TRANSPORT_ERROR"
    assert RpcError(-32011, "").string_code == "TIMEOUT"


@pytest.mark.parametrize("code", STRING_CODES)
def test_every_code_of_the_router_has_a_string_code(code: int) -> None:
    assert RpcError(code, "").string_code.isupper()
