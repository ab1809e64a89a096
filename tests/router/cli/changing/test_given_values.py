"""Values of variables and headers: references, plain ones, and secrets that are typed."""

from __future__ import annotations

import getpass
import io
import warnings
from typing import TYPE_CHECKING

import pytest

from router.cli.changing.given_values import GivenValues
from router.cli.changing.server_json import Input
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what has a person type a text at each question."""

    def type_it(text: str) -> None:
        monkeypatch.setattr("sys.stdin", Terminal(f"{text}\n"))
        monkeypatch.setattr(getpass, "getpass", lambda _: text)

    return type_it


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("LEVEL=debug", "LEVEL", "debug"),
        ("LEVEL=", "LEVEL", ""),
        ("API_KEY=${MY_KEY}", "API_KEY", "${MY_KEY}"),
        ("Authorization: Bearer ${TOKEN}", "Authorization", "Bearer ${TOKEN}"),
        ("X-Trace: a=b", "X-Trace", "a=b"),
        ("URL=https://x/?a=1", "URL", "https://x/?a=1"),
    ],
)
def test_what_stands_there_is_the_value(word: str, name: str, value: str) -> None:
    given = GivenValues([word], "--env")
    assert (given.names, given.value(name), given.secrets) == ((name,), value, {})


@pytest.mark.parametrize("word", ["API_KEY=abc", "Authorization: Bearer abc", "PASSWORD=x"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        GivenValues([word], "--env")
    assert "abc" not in str(caught.value)


def test_a_word_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected KEY"):
        GivenValues(["=x"], "--env")


def test_a_name_alone_is_asked_for_and_kept_as_a_secret(typed: Callable[[str], None]) -> None:
    typed("hush")
    given = GivenValues(["API_KEY"], "--env")
    assert (given.value("API_KEY"), given.secrets) == ("hush", {"API_KEY": "hush"})
    typed("")
    with pytest.raises(ConfigError, match="API_KEY: needs a value; nothing was added"):
        given.value("API_KEY")


def test_without_a_person_a_missing_value_says_how_to_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n"))
    wanted = Input(is_required=True, is_secret=True, description="Of your account")
    with pytest.raises(ConfigError) as caught:
        GivenValues([], "--env").value_for("API_KEY", wanted)
    assert str(caught.value) == (
        "API_KEY: needs a value (Of your account), and nobody can be asked; "
        "give --env API_KEY=${VARIABLE}"
    )
    with pytest.raises(ConfigError) as caught:
        GivenValues([], "--env").value_for("A\nB", wanted)
    assert "\n" not in str(caught.value)


def test_values_of_a_server_json_come_from_what_is_given_then_defaults_then_the_person(
    typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    given = GivenValues(["A=1"], "--env")
    assert given.value_for("A", Input(default="2")) == "1"
    assert given.value_for("B", Input(default="2")) == "2"
    assert given.value_for("C", Input()) is None
    typed("blue")
    assert given.value_for("D", Input(is_required=True, choices=["red", "blue"])) == "blue"
    assert capsys.readouterr().err == "D [red|blue]: "
    assert given.secrets == {}
    typed("green")
    with pytest.raises(ConfigError, match="needs a value"):
        given.value_for("D", Input(is_required=True, choices=["red", "blue"]))


def test_a_terminal_that_would_show_a_secret_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shows(_: str) -> str:
        warnings.warn("it would be shown", getpass.GetPassWarning, stacklevel=2)
        return ""

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", shows)
    with pytest.raises(ConfigError, match="would show what is typed"):
        GivenValues(["API_KEY"], "--env").value("API_KEY")


def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _: b"\xff".decode())
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        GivenValues(["API_KEY"], "--env").value("API_KEY")
