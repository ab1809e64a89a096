"""The README and its translation say the same, as far as a program can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FENCE: Final = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)]+)\)")
CODE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COLUMN: Final = 55
"""Where, in the list of commands, it says what they do."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_both_have_the_same_examples_links_and_words_of_code() -> None:
    english, chinese = text_of("README.md"), text_of("README.zh-CN.md")
    assert FENCE.findall(chinese) == FENCE.findall(english)
    links = [set(LINK.findall(text)) for text in (english, chinese)]
    assert links[0] - {"README.zh-CN.md"} == links[1] - {"README.md"}
    assert set(CODE.findall(chinese)) == set(CODE.findall(english))
    assert chinese.count("\n## ") == english.count("\n## ")


def test_both_name_the_same_commands() -> None:
    def commands(name: str) -> list[str]:
        lines = [line for line in text_of(name).splitlines() if line.startswith("mcp-router ")]
        return [line[:COLUMN].rstrip() for line in lines]

    assert commands("README.md") == commands("README.zh-CN.md")
    assert len(commands("README.md")) > 3


def test_every_link_leads_to_a_file() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        local = [link for link in LINK.findall(text_of(name)) if "://" not in link]
        assert [link for link in local if not (ROOT / link.partition("#")[0]).exists()] == []
