"""Ways in which a change on disk can fail, as answers."""

from __future__ import annotations

import errno
import logging
from typing import NoReturn

import pytest

from router.messages.errors import (
    ALREADY_EXISTS,
    INTERNAL_ERROR,
    NOT_SAVED,
    ConfigError,
    RpcError,
)
from router.reload.safe_saving import try_to_save

TAKEN = RpcError(ALREADY_EXISTS, "It is there already")


def test_result_of_a_change_is_returned() -> None:
    assert try_to_save(lambda: 7, "A change") == 7


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TAKEN, TAKEN),
        (
            ConfigError("config.json", "is gone"),
            RpcError(NOT_SAVED, "Nothing was changed: config.json: is gone"),
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            RpcError(
                NOT_SAVED,
                "The change could not be saved: No space left on device",
                {"errno": "ENOSPC"},
            ),
        ),
        (
            OSError(),
            RpcError(NOT_SAVED, "The change could not be saved: OSError", {"errno": "EIO"}),
        ),
        (
            ValueError("s3cret"),
            RpcError(INTERNAL_ERROR, "The change failed because of a fault in the router"),
        ),
    ],
)
def test_failure_of_a_change_is_returned_as_its_reason(error: Exception, answer: RpcError) -> None:
    def fails() -> str:
        raise error

    found = try_to_save(fails, "A change")
    assert isinstance(found, RpcError)
    assert (found.code, found.message, found.data) == (answer.code, answer.message, answer.data)


def test_change_that_cannot_be_saved_is_logged_with_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails() -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    try_to_save(fails, "UpdateInstance in /srv/data")
    assert caplog.messages == [
        "UpdateInstance in /srv/data could not be saved: [Errno 28] No space left on device"
    ]


def test_fault_is_logged_with_the_kind_of_the_change(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> NoReturn:
        raise ValueError("oh")

    try_to_save(fails, "The change of a profile")
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "The change of a profile failed")
    assert record.exc_info is not None
