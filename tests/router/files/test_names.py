"""Names of instances, tokens and providers."""

from __future__ import annotations

import pytest

from router.files.names import NAME_RULE, is_name, is_provider


@pytest.mark.parametrize(
    "name", ["a", "A-1_b", "_x", "9", "数据", "カタカナ", "ひらがな", "한국어", "々", "a" * 100]
)
def test_usable_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "..",
            ".",
            ".a",
            "-a",
            "a/b",
            "a\\b",
            "a b",
            "a\n",
            "\na",
            "a\0",
            "%2e%2e",
            "a" * 101,
        ),
        *("é", "а", "a.b", "a:b", None, 1, ["a"]),  # noqa: RUF001 - Cyrillic
    ],
)
def test_unusable_names(name: object) -> None:
    """Names become parts of paths."""
    assert not is_name(name)
    assert not is_provider(name)


@pytest.mark.parametrize("name", ["con", "NUL", "prn", "Aux", "com1", "LPT9"])
def test_device_of_windows_is_no_name_anywhere(name: str) -> None:
    """A folder of that name cannot be there, and data moves between systems."""
    assert not is_name(name)
    assert not is_provider(name)
    assert is_name(f"{name}-server")
    assert is_provider(f"{name}2x")
    assert "no device of Windows such as con" in NAME_RULE


def test_provider_has_no_letters_beyond_ascii() -> None:
    assert is_provider("a" * 100)
    assert is_provider("Git-Hub_2")
    assert not is_provider("数据")
