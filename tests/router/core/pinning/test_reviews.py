"""Diffs of tools show everything that is different, and nothing invisible."""

from router.core.pinning.pin_table import Difference
from router.core.pinning.reviews import MAX_LINES, PinnedInstance, PinReview, diff_of, review
from tests.router.core.conversation import raw


def test_a_diff_shows_what_changed_in_order_of_members() -> None:
    diff = diff_of(b'{"name":"send","a":1}', b'{"b":2,"name":"send"}')
    assert diff == '@@ -1,4 +1,4 @@\n {\n-  "a": 1,\n+  "b": 2,\n   "name": "send"\n }\n'


def test_a_new_and_a_removed_tool_are_shown_as_a_whole() -> None:
    assert diff_of(None, b"[]") == "@@ -0,0 +1 @@\n+[]\n"
    assert diff_of(b"[]", None) == "@@ -1 +0,0 @@\n-[]\n"


def test_what_is_invisible_is_shown_as_its_escape() -> None:
    shown = diff_of(None, '"a\u200b\u202e\U000e0041\ufe0f\u3164\u0085é送"'.encode())
    assert '"a\\u200b\\u202e\\udb40\\udc41\\ufe0f\\u3164\\u0085é送"' in shown


def test_a_member_that_is_there_twice_is_seen() -> None:
    shown = diff_of(b'{"a":1}', b'{"a":2,"a":1}')
    assert '-{"a":1}\n' in shown
    assert '+{"a":2,"a":1}\n' in shown


def test_large_and_unreadable_tools_are_shown_without_being_matched() -> None:
    many = b"[" + b",".join([b"1"] * MAX_LINES) + b"]"
    assert diff_of(b"[]", many).startswith("-[]\n+[\n+  1,\n")
    assert diff_of(None, b"[" * 99_999) == "@@ -0,0 +1 @@\n+" + "[" * 99_999 + "\n"


def test_a_review_has_differences_whose_digests_are_known_and_all_flags() -> None:
    tools = {"send": raw({"name": "send", "description": "x\u200b"}), "Add": raw({"name": "Add"})}
    found = [Difference("send", None, b"{}", "", "ab"), Difference("late", None, b"{}")]
    other = PinnedInstance({"add": raw({"name": "add"})}, [])
    asked = PinReview("block", None, {"a": PinnedInstance(tools, found), "b": other})
    shown = review(asked)
    (row,) = shown["tools"]
    assert row | {"diff": ""} == {
        "instance": "a",
        "tool": "send",
        "change": "new",
        "quarantined": True,
        "approved_sha256": None,
        "sha256": "ab",
        "diff": "",
    }
    assert [(flag["instance"], flag["tool"], flag["kind"]) for flag in shown["flags"]] == [
        ("a", "send", "hidden_text"),
        ("b", "add", "lookalike"),
    ]
