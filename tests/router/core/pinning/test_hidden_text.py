"""Characters that a model reads and a person does not see are found; honest text is left alone."""

import json

import pytest

from router.core.pinning.hidden_text import MAX_FLAGS, hidden_text


def found_in(text: str) -> tuple[str, ...]:
    """Look at a tool with this description, spelled in both ways that JSON has."""
    tool = {"name": "send", "description": text}
    plain = hidden_text(json.dumps(tool, ensure_ascii=False).encode())
    assert plain == hidden_text(json.dumps(tool).encode())
    return plain


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Sends\U000e0072\U000e006d", "2 invisible tag characters, which read 'rm'"),
        ("Sends \u202egnp.exe", "bidirectional controls"),
        ("Sends \u2066x\u2069", "bidirectional controls"),
        ("Sends\u200f it", "direction marks in text from left to right"),
        ("Se\ufe0fnds", "variation selectors"),
        ("\U000e0100Sends", "variation selectors"),
        ("😀\ufe0f\ufe01", "variation selectors"),
        ("Se\u200bnds", "invisible characters (U+200B)"),
        ("Se\u200dnds", "invisible characters (U+200D)"),
        ("\ufeffSends", "invisible characters (U+FEFF)"),
        ("Se\u00adnds", "invisible characters (U+00AD)"),
        ("Sends\u3164", "invisible characters (U+3164)"),
        ("Sends\x1b[8m", "invisible characters (U+001B)"),
    ],
)
def test_hidden_text_is_found(text: str, what: str) -> None:
    (found,) = found_in(text)
    assert found.startswith("description has ")
    assert what in found


@pytest.mark.parametrize(
    "text",
    [
        "Sends a letter.\n\tTwice — “fast”",
        "送信します。手紙を送る",
        "می‌خواهم نامه بفرستم",
        "क्‍ष",
        "שלום\u200f ",
        "👨‍👩‍👧 ❤️ ☀️ ↔️ 1️⃣ ©️ 🏳️‍🌈",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "葛\U000e0100城市",
        "Größe in µm ≥ 5 °C",
    ],
)
def test_honest_text_is_left_alone(text: str) -> None:
    assert found_in(text) == ()


def test_keys_and_nested_texts_are_looked_at() -> None:
    schema = {"properties": {"a\u200b": {"enum": ["x", "y\u200b"]}}}
    found = hidden_text(json.dumps({"name": "send", "inputSchema": schema}).encode())
    assert [one.partition(" has ")[0] for one in found] == [
        "a key in inputSchema.properties",
        "inputSchema.properties.a\\u200b.enum[1]",
    ]


def test_few_findings_of_one_tool_are_told() -> None:
    tool = {f"key{number}": "\u200b" for number in range(50)}
    assert len(hidden_text(json.dumps(tool).encode())) == MAX_FLAGS


@pytest.mark.parametrize("raw", [b'{"a": "\\u00', b"[" * 9999 + b'"\\u0041"' + b"]" * 9999])
def test_what_cannot_be_read_is_a_finding(raw: bytes) -> None:
    assert hidden_text(raw) == ("it cannot be read as JSON",)
