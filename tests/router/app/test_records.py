"""Records go to every keeper, and a keeper that fails keeps none from the others."""

import logging
from typing import Any

import pytest

from router.app.records import Records
from router.messages.records import ChangeRecord, Record

RECORD = ChangeRecord("operator", "", "remove_instance", "a")


def test_each_keeper_gets_each_record() -> None:
    kept: list[list[Record]] = [[], []]
    Records([one.append for one in kept]).write(RECORD)
    assert kept == [[RECORD], [RECORD]]


def test_a_keeper_that_fails_does_so_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Any) -> None:
        raise ValueError("a bug")

    kept: list[Record] = []
    with caplog.at_level(logging.ERROR):
        Records([fails, kept.append]).write(RECORD)
    assert kept == [RECORD]
    assert caplog.messages == ["a record was not kept"]
