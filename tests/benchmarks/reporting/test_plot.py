from __future__ import annotations

import xml.etree.ElementTree as ET

from benchmarks.reporting.figures import Figures
from benchmarks.reporting.plot import LEFT, Group, chart, chart_of
from benchmarks.rows import Row
from tests.benchmarks.reporting.rows import http_rows

SVG = "{http://www.w3.org/2000/svg}"


def _bars(picture: str, kind: str) -> list[float]:
    rects = ET.fromstring(picture).iter(f"{SVG}rect")
    return [float(one.get("width", 0)) for one in rects if one.get("class") == kind]


def test_picture_is_xml_with_a_title_and_all_figures_in_words() -> None:
    root = ET.fromstring(chart_of(Figures.of(http_rows())))
    assert root.findtext(f"{SVG}title")
    assert "router 0.55, 0.60, 0.90" in (root.findtext(f"{SVG}desc") or "")


def test_picture_has_colors_for_dark_pages_and_no_script() -> None:
    picture = chart_of(Figures.of(http_rows()))
    assert "prefers-color-scheme: dark" in picture
    assert "script" not in picture
    assert "href" not in picture


def test_the_fastest_proxy_is_on_top() -> None:
    rows = [
        Row.of("http", "16 callers", name, "ratio", [value])
        for name, value in {"slow": 0.1, "fast": 1.5, "middle": 0.5}.items()
    ]
    texts = [one.text for one in ET.fromstring(chart_of(Figures.of(rows))).iter(f"{SVG}text")]
    assert [text for text in texts if text in {"slow", "fast", "middle"}] == [
        "fast",
        "middle",
        "slow",
    ]


def test_a_tenth_is_as_far_from_one_as_a_hundredth_from_a_tenth() -> None:
    def bar(value: float) -> float:
        row = Row.of("http", "1 caller", "x", "ratio", [value])
        return _bars(chart([Group("x", (row, None, None))]), "a")[-1]

    assert abs((bar(1.0) - bar(0.1)) - (bar(0.1) - bar(0.01))) < 0.2


def test_a_figure_below_the_axis_has_no_bar_of_negative_length() -> None:
    row = Row.of("http", "1 caller", "x", "ratio", [0.0001])
    assert _bars(chart([Group("x", (row, None, None))]), "a")[-1] == 0
    assert LEFT > 0


def test_names_are_escaped() -> None:
    row = Row.of("http", "1 caller", "a<b & c", "ratio", [1.0])
    assert "a&lt;b &amp; c" in chart([Group("a<b & c", (row, None, None))])
