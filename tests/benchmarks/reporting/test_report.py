from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.reporting.figures import Figures
from benchmarks.reporting.report import (
    TITLES,
    cell,
    check_docs,
    markdown_table,
    number,
    put,
    report,
    suite_table,
    targets_table,
    write_docs,
)
from benchmarks.reporting.targets import TARGETS
from benchmarks.rows import Row
from tests.benchmarks.reporting.rows import http_rows

PAGE = """# Performance

<!-- targets -->
old
<!-- end of targets -->

<!-- tables -->
<!-- end of tables -->
"""


def _lines(table: str) -> dict[str, str]:
    return {line.split(" | ")[0].strip("| "): line for line in table.splitlines()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.01"),
        (1.234, "1.23"),
        (45.67, "45.7"),
        (12345.6, "12,346"),
        (-7, "-7.00"),
    ],
)
def test_figures_are_short_and_never_powers_of_ten(value: float, text: str) -> None:
    assert number(value) == text


def test_a_cell_has_the_median_and_half_the_range() -> None:
    assert cell(Row.of("http", "1 caller", "router", "ratio", [0.5, 0.55, 0.7])) == "0.55 ± 0.10"


def test_a_cell_of_one_round_has_no_range_and_one_of_none_a_dash() -> None:
    assert cell(Row.of("growth", "", "router", "memory", [44.0])) == "44.0"
    assert cell(None) == "-"


def test_table_of_a_suite_has_a_line_for_each_load_and_proxy_and_a_column_for_each_metric() -> None:
    table = suite_table(Figures.of(http_rows()), "http")
    head, rule, *lines = table.splitlines()
    assert head == "| work | proxy | calls, 1/s | ratio |"
    assert rule == "| --- | --- | ---: | ---: |"
    assert lines[:2] == [
        "| 1 caller | byte proxy | 10,000 | 1.00 |",
        "| 1 caller | **router** | 5,500 ± 500 | 0.55 ± 0.05 |",
    ]
    assert len(lines) == 6


def test_a_target_is_reached_or_not_or_was_not_measured() -> None:
    lines = _lines(targets_table(Figures.of(http_rows())))
    reached = lines["HTTP, 1 caller, x byte proxy"]
    assert reached == "| HTTP, 1 caller, x byte proxy | ≥ 0.5 x | 0.55 x | reached |"
    assert lines["HTTP, 16 callers, x byte proxy"].endswith("| 0.60 x | not reached |")
    assert lines["start on stdio, x byte proxy"].endswith("| - | not measured |")


def test_a_target_that_is_a_most_is_reached_below_its_bound() -> None:
    rows = [Row.of("layers", "HTTP, 16 callers", "metrics", "added", [4.0, 6.0, 4.5], "us")]
    lines = _lines(targets_table(Figures.of(rows)))
    assert lines["metrics"] == "| metrics | ≤ 5 µs | 4.50 µs | reached |"


def test_wrong_answers_in_any_mode_of_the_router_count_and_those_of_others_do_not() -> None:
    def rows(of_router: int) -> list[Row]:
        found = {"router": 0, "router, no lane": of_router, "another": 9}
        return [
            Row.of("collide", "16 clients, HTTP", name, "wrong", [0, count])
            for name, count in found.items()
        ]

    name = "16 clients with the same ids, wrong or missing answers"
    assert "| 0 | reached |" in _lines(targets_table(Figures.of(rows(0))))[name]
    assert "| 1.00 | not reached |" in _lines(targets_table(Figures.of(rows(1))))[name]


def test_every_target_is_not_measured_in_an_empty_run() -> None:
    assert all(target.figure(Figures.of([])) is None for target in TARGETS)


def test_report_has_a_heading_for_each_suite_that_was_run() -> None:
    parts = report(http_rows(), {"python": "3.11"})
    assert re.findall("^### (.*)", parts["tables"], re.MULTILINE) == [TITLES["http"]]
    assert "python 3.11" in parts["tables"]


def test_parts_are_put_between_their_comments_and_the_rest_of_the_page_stays() -> None:
    page = put(PAGE, {"targets": "| new |\n"})
    assert page == PAGE.replace("old\n", "| new |\n")


def test_a_page_without_a_place_is_an_error_that_names_the_comment() -> None:
    with pytest.raises(ValueError, match="<!-- layers -->"):
        put(PAGE, {"layers": ""})


def test_the_page_of_this_repository_has_a_place_for_each_part(tmp_path: Path) -> None:
    check_docs(Path(__file__).parents[3] / "docs")
    (tmp_path / "performance.md").write_text(PAGE.replace("<!-- tables -->", ""))
    with pytest.raises(ValueError, match="<!-- tables -->"):
        check_docs(tmp_path)


def test_docs_get_the_tables_and_the_picture(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(PAGE)
    write_docs(tmp_path, http_rows(), {"python": "3.11"})
    assert "**router**" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance.svg").read_text().startswith("<svg")


def test_a_table_has_its_first_columns_to_the_left() -> None:
    assert (
        markdown_table(["a", "b"], [["1", "2"]], left=1) == "| a | b |\n| --- | ---: |\n| 1 | 2 |\n"
    )
