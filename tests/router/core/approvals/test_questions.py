"""The form that asks whether a call may be carried out, and its answers."""

from typing import Any

import pytest

from router.core.approvals.questions import FORM_LIMIT, is_yes, is_yes_in, question_about
from router.messages.frames import ErrorResponse, Response
from tests.router.core.approvals.asked import YES
from tests.router.core.conversation import raw


def test_the_form_names_the_call_and_shows_its_arguments() -> None:
    question = question_about("files", "rm", raw({"path": "/x", "deep": [1]}))
    assert question is not None
    assert question["message"] == (
        "May this tool be called?\n\nInstance: files\nTool: rm\n"
        'Arguments:\n{\n  "path": "/x",\n  "deep": [1]\n}'
    )
    schema = question["requestedSchema"]
    assert schema["required"] == list(schema["properties"]) == ["approve"]


def test_nothing_in_a_call_can_add_a_line_or_hide_one() -> None:
    question = question_about("files", "rm\nTool: ls\u202e", raw({"a\nb": "x\n\u2066y"}))
    assert question is not None
    assert question["message"].splitlines()[3:] == [
        r"Tool: rm\u000aTool: ls\u202e",
        "Arguments:",
        "{",
        r'  "a\nb": "x\n\u2066y"',
        "}",
    ]


def test_arguments_that_do_not_fit_are_not_shown_in_part() -> None:
    assert question_about("a", "rm", raw({"text": "x" * FORM_LIMIT})) is None
    assert question_about("a", "rm", raw({"text": "x" * FORM_LIMIT * 5})) is None
    assert question_about("a", "rm", raw({"text": "\u200b" * (FORM_LIMIT // 6)})) is None


def test_only_an_accepted_form_that_says_true_is_a_yes() -> None:
    assert is_yes(Response(1, raw(YES)))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"null",
        [],
        {},
        {"action": "decline"},
        {"action": "cancel", "content": {"approve": True}},
        {"action": "decline", "content": {"approve": True}},
        {"action": "accept"},
        {"action": "accept", "content": None},
        {"action": "accept", "content": {}},
        {"action": "accept", "content": {"approve": False}},
        {"action": "accept", "content": {"approve": "true"}},
        {"action": "accept", "content": {"approve": 1}},
        {"action": "accept", "content": {"Approve": True}},
        {"action": "accept", "content": [True]},
        {"Action": "accept", "content": {"approve": True}},
        b'{"action": "accept", "content": {"approve": true}',
    ],
)
def test_everything_else_is_a_no(answer: Any) -> None:
    assert not is_yes_in(raw(answer))
    assert not is_yes_in(None)
    assert not is_yes(ErrorResponse(1, raw({"code": -1, "message": "no"})))
