"""Estimates of tokens, of kinds of texts; an end-to-end test compares lists with a tokenizer."""

import msgspec
import pytest
from msgspec import Raw

from router.core.text.token_estimates import estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ('{"type":"object","properties":{"path":{"type":"string"}}}', 14),
        ("read_text_file", 3),
        ("getCurrentWeatherForecast", 4),
        ("2025-11-25T21:00:00", 12),
        ("将一个高德经纬度坐标转换为行政区划地址信息", 16),
        ("zażółć gęślą jaźń", 11),
        ("Читает файл проекта и возвращает его текст.", 11),  # noqa: RUF001
        ("يقرأ ملف المشروع ويعيد نصه.", 9),
        ("Διαβάζει ένα αρχείο του έργου.", 11),
        ("อ่านไฟล์ของโครงการ", 6),
    ],
)
def test_estimates_are_near_what_o200k_makes_of_a_text(text: str, tokens: int) -> None:
    assert abs(estimate_tokens(text.encode()) - tokens) <= 3


def test_escaped_characters_count_as_themselves() -> None:
    assert estimate_tokens(b'{"a":"\\u5317\\u4eac"}') == estimate_tokens('{"a":"北京"}'.encode())
    assert estimate_tokens(b"\\u not JSON") > 0


@pytest.mark.parametrize("indent", [1, 0, 8])
def test_white_space_between_the_values_of_json_costs_nothing(indent: int) -> None:
    compact = msgspec.json.encode({"type": "object", "properties": {"a": {"type": "string"}}})
    assert estimate_tokens(msgspec.json.format(compact, indent=indent)) == estimate_tokens(compact)


def test_a_list_costs_about_what_its_tools_cost() -> None:
    tool = msgspec.json.encode({"name": "add", "description": "Adds two numbers."})
    assert abs(estimate_tokens(b",".join([tool] * 50)) - 50 * estimate_tokens(Raw(tool))) <= 50
