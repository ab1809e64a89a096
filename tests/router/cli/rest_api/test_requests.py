"""Requests to the REST API of a running router."""

from __future__ import annotations

import io
import json
from http.client import HTTPConnection
from typing import Any

import pytest

from router.cli.rest_api import requests
from router.cli.rest_api.requests import Refused, ask
from router.cli.rest_api.rest_client import RestApi


class Refusing(HTTPConnection):
    """Answers before it has read the request, and reads no more of it."""

    class Answer(io.BytesIO):
        status = 413

    def connect(self) -> None:
        pass

    def request(self, *_: Any, **more: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def getresponse(self) -> Any:
        return self.Answer(json.dumps({"detail": {"error": "too large"}}).encode())


def test_a_refusal_is_read_although_the_request_could_not_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connection(*_: object) -> HTTPConnection:
        return Refusing("127.0.0.1")

    monkeypatch.setattr(requests, "open_connection", connection)
    with pytest.raises(Refused, match="too large") as caught:
        ask(RestApi("http://127.0.0.1:9"), "POST", "/api/call", {"a": 1})
    assert caught.value.status == 413
