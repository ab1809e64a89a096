"""The report of `python -X importtime`, read back."""

from __future__ import annotations

from benchmarks.internals.imports import Import, imports_in, slowest, unwanted

REPORT = """\
import time: self [us] | cumulative | imported package
import time:       120 |        120 |     encodings.aliases
2026-01-01 - mcp_router - INFO - import time: is no line of the report
import time:      1500 |       1620 |   encodings
import time:        50 |         50 | mcpx
import time:      9000 |      12000 | mcp.client
import time:         3 |          3 | pydantic
import time:         2 |          4 | router.secret_store.keyrings
import time:         1 |          1 | router.secret_stores
"""


def test_every_import_is_read_with_its_times_and_nothing_else() -> None:
    assert imports_in(REPORT) == [
        Import("encodings.aliases", 0.12, 0.12),
        Import("encodings", 1.5, 1.62),
        Import("mcpx", 0.05, 0.05),
        Import("mcp.client", 9.0, 12.0),
        Import("pydantic", 0.003, 0.003),
        Import("router.secret_store.keyrings", 0.002, 0.004),
        Import("router.secret_stores", 0.001, 0.001),
    ]


def test_unwanted_are_packages_and_their_modules_but_not_other_names_that_begin_so() -> None:
    expected = ["mcp.client", "pydantic", "router.secret_store.keyrings"]
    assert unwanted(imports_in(REPORT)) == expected


def test_slowest_are_those_that_took_long_themselves() -> None:
    assert [one.name for one in slowest(imports_in(REPORT), 2)] == ["mcp.client", "encodings"]
