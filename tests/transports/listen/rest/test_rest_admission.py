"""The pages that may read the answers of the REST API; admission itself is in `test_guard`."""

from __future__ import annotations

import pytest

from transports.listen.rest.rest_admission import Cors

FOREIGN = "https://ui.example.org"


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        ("*", FOREIGN, "*"),
        ("0.0.0.0", FOREIGN, "*"),
        ("127.0.0.1", "http://localhost:5173", "http://localhost:5173"),
        ("127.0.0.1", "http://127.0.0.1", "http://127.0.0.1"),
        ("127.0.0.1", "http://127.0.0.1.evil.com", None),
        ("127.0.0.1", FOREIGN, None),
        (FOREIGN, FOREIGN, FOREIGN),
        (f"{FOREIGN}/", FOREIGN, FOREIGN),
        (FOREIGN, f"{FOREIGN}:444", None),
    ],
)
def test_page_may_read_what_its_origin_is_allowed(
    allowed: str, origin: str, answered: str | None
) -> None:
    headers = dict(Cors(allowed).headers_for(origin))
    expected = None if answered is None else answered.encode()
    assert headers.get(b"access-control-allow-origin") == expected
    assert (b"vary" in headers) == (answered != "*")


def test_program_that_is_no_page_gets_no_cors_headers() -> None:
    assert Cors("*").headers_for(None) == ()
