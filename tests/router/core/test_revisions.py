"""What differs between protocol revisions. (What a client may be asked: `test_from_session`.)"""

import pytest
from msgspec import Raw

from router.core import revisions
from router.errors import RpcError
from router.messages import HANDSHAKE_REVISIONS


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_revision_that_is_spoken_is_agreed_to(revision: str) -> None:
    assert revisions.negotiate(revision) == revision


@pytest.mark.parametrize("revision", ["", "2024-10-07", "2026-07-28", "9999-01-01"])
def test_for_any_other_the_latest_is_offered(revision: str) -> None:
    assert revisions.negotiate(revision) == "2025-11-25"


@pytest.mark.parametrize(
    ("revision", "answer"),
    [("2024-11-05", False), ("2025-03-26", False), ("2025-06-18", True), ("2025-11-25", True)],
)
def test_structured_content_came_in_june_2025(revision: str, answer: bool) -> None:
    assert revisions.has_structured_content(revision) is answer


@pytest.mark.parametrize("value", [b"5", b"null", b'"2025-06-18"'])
def test_only_an_unknown_revision_marks_the_stateless_era(value: bytes) -> None:
    revisions.refuse_stateless({revisions.ENVELOPE_REVISION_KEY: Raw(value)})
    revisions.refuse_stateless({})


def test_the_stateless_era_is_refused_with_what_is_spoken() -> None:
    with pytest.raises(RpcError) as caught:
        revisions.refuse_stateless({revisions.ENVELOPE_REVISION_KEY: Raw(b'"2026-07-28"')})
    assert caught.value.code == -32022
    assert caught.value.data["supported"] == list(HANDSHAKE_REVISIONS)
