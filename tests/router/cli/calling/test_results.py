"""Results of servers as a person sees them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.calling.results import ResultText, save, size_text
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def text_of(folder: Path, *content: Any, is_terminal: bool = True, **more: Any) -> str:
    shown = ResultText(folder, "a tool/../x", is_terminal=is_terminal)
    return shown.of_call({"content": list(content), **more})


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def image(data: bytes, mime: str = "image/png") -> dict[str, str]:
    return {"type": "image", "mimeType": mime, "data": base64.b64encode(data).decode()}


def test_a_text_is_written_as_it_is_but_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    item = text("héllo\n\x1b[2J")
    assert text_of(tmp_path, item) == "héllo\n\\x1b[2J\n"
    assert text_of(tmp_path, item, is_terminal=False) == "héllo\n\x1b[2J\n"


def test_json_is_laid_out_on_a_terminal_and_left_alone_elsewhere(tmp_path: Path) -> None:
    assert text_of(tmp_path, text('{"a":[1]}')) == '{\n  "a": [\n    1\n  ]\n}\n'
    assert text_of(tmp_path, text('{"a":[1]}'), is_terminal=False) == '{"a":[1]}\n'
    assert text_of(tmp_path, text("{no json")) == "{no json\n"


def test_structured_content_is_shown_where_no_text_says_the_same(tmp_path: Path) -> None:
    assert text_of(tmp_path, structuredContent={"a": 1}) == '{"a": 1}\n'.replace(
        '{"a": 1}', '{\n  "a": 1\n}'
    )
    assert text_of(tmp_path, text("one"), structuredContent={"a": 1}) == "one\n"


def test_images_are_saved_under_names_of_their_own_and_named(tmp_path: Path) -> None:
    (tmp_path / "a-tool-x.png").write_bytes(b"mine")
    said = text_of(tmp_path, image(b"one"), image(b"two"), image(b"x", "../../etc; y"))
    names = ["a-tool-x-2.png", "a-tool-x-3.png", "a-tool-x.bin"]
    assert [line.partition("saved as ")[2] for line in said.splitlines()] == [
        f"{tmp_path / name}]" for name in names
    ]
    assert said.startswith("[image/png, 3 B, saved as ")
    assert [(tmp_path / name).read_bytes() for name in names] == [b"one", b"two", b"x"]
    assert (tmp_path / "a-tool-x.png").read_bytes() == b"mine"


def test_what_is_no_base64_is_not_saved(tmp_path: Path) -> None:
    item = {"type": "audio", "mimeType": "audio/wav", "data": "???"}
    assert text_of(tmp_path, item) == "[audio/wav that is not base64]\n"
    assert list(tmp_path.iterdir()) == []


def test_links_and_embedded_resources_are_listed(tmp_path: Path) -> None:
    link = {"type": "resource_link", "uri": "file:///x\x07", "name": "x", "mimeType": "text/x"}
    embedded = {"type": "resource", "resource": {"uri": "a:b", "text": "inside"}}
    blob = {"type": "resource", "resource": {"uri": "a:b", "blob": "eA==", "mimeType": "x/y"}}
    said = text_of(tmp_path, link, embedded, blob, {"type": "new", "x": 1})
    assert said.startswith("x: file:///x\\x07 (text/x)\ninside\n[x/y, 1 B, saved as ")
    assert said.endswith('{\n  "type": "new",\n  "x": 1\n}\n')


def test_a_prompt_has_its_messages_after_their_roles(tmp_path: Path) -> None:
    shown = ResultText(tmp_path, "p", is_terminal=True)
    messages = [
        {"role": "user", "content": text("one")},
        {"role": "assistant", "content": [text("two"), text("three")]},
    ]
    assert shown.of_prompt({"messages": messages}) == "user:\none\n\nassistant:\ntwo\nthree\n"
    assert shown.of_reading({"contents": [{"uri": "a:b", "text": "x"}]}) == "x\n"


@pytest.mark.parametrize("result", [{}, {"content": None}, {"content": ["x", 1]}])
def test_a_result_that_makes_no_sense_is_shown_as_nothing(tmp_path: Path, result: Any) -> None:
    assert ResultText(tmp_path, "t", is_terminal=True).of_call(result) == ""


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        save(tmp_path / "file" / "none", "x", ".png", b"")


def test_sizes() -> None:
    assert [size_text(size) for size in (0, 999, 1234, 5_600_000)] == [
        *("0 B", "999 B", "1.2 kB", "5.6 MB"),
    ]


def test_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = save(tmp_path / "a" / "b", "image", ".png", b"x")
    assert path.read_bytes() == b"x"


def test_content_of_no_sense_is_no_end(tmp_path: Path) -> None:
    shown = text_of(tmp_path, {"type": "resource", "resource": [1]}, {"type": "image"}, 7)
    assert shown == "[data, 0 B, saved as " + str(tmp_path / "a-tool-x.bin") + "]\n"
