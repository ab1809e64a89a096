"""References such as `${VAR}`, resolved against an environment."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.references.expander import (
    Expander,
    Unresolved,
    is_reference,
    secret_names_in,
    variable_names_in,
)

ENVIRON = {"TOKEN": "t0ken", "EMPTY": "", "HOME": "/home/me", "NESTED": "${TOKEN}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${TOKEN}", "t0ken"),
        ("Bearer ${TOKEN}!", "Bearer t0ken!"),
        ("${TOKEN}${HOME}", "t0ken/home/me"),
        ("${env:TOKEN}", "t0ken"),
        ("${env:UNSET:-x}", "x"),
        ("${TOKEN:-default}", "t0ken"),
        ("${UNSET:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b\n}", "a:-b\n"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${NESTED}", "${TOKEN}"),
        ("$TOKEN", "$TOKEN"),
        ("$HOME; echo $(x) `y` | z & ", "$HOME; echo $(x) `y` | z & "),
        ("${x##y} ${a b} ${} ${1}", "${x##y} ${a b} ${} ${1}"),
        ("${TOKEN", "${TOKEN"),
        ("${userHome}/x", "/home/me/x"),
        ("a${/}b${pathSeparator}c", f"a{os.sep}b{os.sep}c"),
        ("${env:pathSeparator:-x} ${/x}", "x ${/x}"),
    ],
)
def test_references_are_resolved_and_all_else_stays(text: str, expanded: str) -> None:
    assert Expander(ENVIRON).expand(text) == expanded


def test_variable_of_that_name_counts_more_than_what_editors_have_for_it() -> None:
    environ = {"userHome": "a", "pathSeparator": "b", "workspaceFolder": "c"}
    text = "${userHome}${pathSeparator}${workspaceFolder}"
    assert Expander(environ).expand(text) == "abc"
    assert Expander({"USERPROFILE": "C:/me"}).expand("${userHome}") == "C:/me"


@pytest.mark.parametrize(
    "reference",
    ["${workspaceFolder}", "${workspaceFolder:web}", "${workspaceFolderBasename}"],
)
def test_folder_that_only_an_editor_knows_is_to_be_written_out(reference: str) -> None:
    with pytest.raises(Unresolved) as raised:
        Expander(ENVIRON).expand(f"{reference}/bin")
    assert str(raised.value).endswith("only works in an editor: write the folder itself instead")
    assert "workspaceFolder" in str(raised.value)


@pytest.mark.parametrize("reference", ["${UNSET}", "${env:UNSET}", "${env:userHome}"])
def test_missing_variable_is_named(reference: str) -> None:
    with pytest.raises(Unresolved) as raised:
        Expander(ENVIRON).expand(f"{reference} ${{TOKEN}}")
    assert str(raised.value) == f"{reference} is not set"


@pytest.mark.parametrize(
    ("reference", "variable"),
    [
        ("${input:github-token}", "GITHUB_TOKEN"),
        ("${promptString:key}", "KEY"),
        ("${command:ext.pick}", "EXT_PICK"),
        ("${input:1st}", "_1ST"),
        ("${input:鍵}", "VALUE"),
    ],
)
def test_what_only_an_editor_could_ask_says_what_to_set_instead(
    reference: str, variable: str
) -> None:
    with pytest.raises(Unresolved) as raised:
        Expander(ENVIRON).expand(reference)
    assert str(raised.value) == (
        f"{reference} only works in an editor: set an environment variable, such as {variable}, "
        f"for the router and write ${{{variable}}} instead"
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$TOKEN", "t0ken"), ("$UNSET", "$UNSET"), ("$TOKEN!", "$TOKEN!"), ("${TOKEN}", "t0ken")],
)
def test_bare_variable_counts_where_it_is_the_whole_value(text: str, expanded: str) -> None:
    assert Expander(ENVIRON).expand_value(text) == expanded


def test_values_are_remembered_as_secrets_but_not_public_ones() -> None:
    expander = Expander(ENVIRON)
    expander.expand("${TOKEN} ${HOME} ${UNSET:-x}")
    assert expander.values == {"t0ken"}
    assert "t0ken" not in repr(expander)


def test_files_and_credentials_are_read_and_remembered_as_secrets() -> None:
    def read(kind: str, name: str) -> str:
        return f"<{kind} {name}>"

    expander = Expander(ENVIRON, read)
    text = expander.expand("a ${file:/x y/z:-w} ${credential:c} ${TOKEN}")
    assert text == "a <file /x y/z:-w> <credential c> t0ken"
    assert expander.values == {"<file /x y/z:-w>", "<credential c>", "t0ken"}


def test_what_is_put_in_is_not_searched_again() -> None:
    assert Expander(ENVIRON, lambda _, name: f"${{{name}}}").expand("${file:TOKEN}") == "${TOKEN}"


def test_file_that_cannot_be_read_is_named_by_its_reference() -> None:
    def read(_: str, name: str) -> str:
        raise Unresolved("is not there")

    with pytest.raises(Unresolved, match=r"^\$\{file:a\}: is not there$"):
        Expander(ENVIRON, read).expand("${file:a}")
    with pytest.raises(Unresolved, match="a credential is not read here"):
        Expander(ENVIRON).expand("${credential:a}")


def test_empty_variable_is_refused_where_nothing_may_be_empty() -> None:
    expander = Expander(ENVIRON, may_be_empty=False)
    assert expander.expand("${EMPTY:-x}${UNSET:-}") == "x"
    with pytest.raises(Unresolved, match=r"^\$\{env:EMPTY\} is empty$"):
        expander.expand("a${env:EMPTY}")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a ${VAR}", True),
        ("${env:VAR:-x}", True),
        ("${file:/etc/shadow}", True),
        ("${credential:x}", True),
        ("${secret:x}", True),
        ("${file:}", True),
        ("${input:x}", True),
        ("${1}${x##y}${a b} $VAR", False),
    ],
)
def test_references_are_found(text: str, is_one: bool) -> None:
    assert is_reference(text) is is_one
    assert is_reference("$VAR", bare=True)


def test_names_of_secrets_in_a_text_are_found() -> None:
    text = "${secret:A} ${file:B}:${secret:c.d-e} $secret:F ${secret:}"
    assert secret_names_in(text) == ["A", "c.d-e", ""]


def test_names_of_variables_without_a_default_are_found() -> None:
    assert variable_names_in("${A} ${env:B} ${C:-} ${secret:D} $E ${f g}") == ["A", "B"]


def test_without_an_environment_every_text_stays() -> None:
    expander = Expander(None)
    assert expander.expand("${UNSET} ${input:x} ${file:x}") == "${UNSET} ${input:x} ${file:x}"
    assert expander.expand_value("$TOKEN") == "$TOKEN"


@given(st.text(st.sampled_from("${}:-_AT env:input:file\n")) | st.text())
def test_any_text_is_expanded_or_an_error_of_one_line(text: str) -> None:
    problem = ""
    try:
        Expander({"A": "${A}"}).expand(text)
    except Unresolved as exc:
        problem = str(exc)
    assert "\n" not in problem
