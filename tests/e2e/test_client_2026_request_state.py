"""Threat: the client of 2026-07-28 holds `requestState`, which names a call that is held open.

Rule: the state is sealed over principal, instance, call and expiry, and is worth nothing
until it is verified. The router refuses a retry with any other state before the upstream hears of
it: `asking_upstream` records each line it gets, and the honest retry still works afterwards.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.client_2026 import Client2026, asked, envelope, retried, tool_call
from tests.e2e.client_answers import ALL_CAPABILITIES, FORM_FILLED
from tests.e2e.shared_router import add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.shared_router import SharedRouter

REFUSED: Final = (400, -32602)
SAYS: Final = "Invalid or expired requestState"
FORGED: Final = {"action": "accept", "content": {"name": "Mallory"}}
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ARGUMENTS: Final = {"kept": [1, {"two": None}], "text": "za\u017c\u00f3\u0142\u0107"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("request-state"))
    add_asking(workspace)
    add_asking(workspace, "another")
    with shared_router(workspace) as shared:
        yield shared


@attrs.frozen
class Held:
    """A call that waits for its client's answer, and what the upstreams were sent until then."""

    client: Client2026
    call: dict[str, Any]
    result: dict[str, Any]
    records: list[Path]
    before: list[bytes]

    @property
    def state(self) -> str:
        return self.result["requestState"]

    def retry(self, state: Any, client: Client2026 | None = None, **params: Any) -> Any:
        """Answer with a state and with other params; return the response."""
        forged = dict.fromkeys(asked(self.result), FORGED)
        message = retried(self.call, self.result, forged, "retry")
        message["params"] |= {"requestState": state, **params}
        return (client or self.client).post(message)

    def finish(self, result: dict[str, Any]) -> Any:
        """Answer the questions of a result honestly; return the response."""
        answers = dict.fromkeys(asked(result), FORM_FILLED)
        return self.client.post(retried(self.call, result, answers, "honest"))

    def honest(self) -> Any:
        """Return the result of the honest retry."""
        return self.finish(self.result).result

    def check_untouched(self) -> None:
        """Assert that the upstreams got nothing, and that the honest retry works."""
        assert [record.read_bytes() for record in self.records] == self.before
        assert json.loads(self.honest()["content"][0]["text"]) == [FORM_FILLED]
        new = self.records[0].read_bytes().removeprefix(self.before[0])
        (line,) = new.splitlines()
        assert json.loads(line)["result"] == FORM_FILLED
        assert self.records[1].read_bytes() == self.before[1]


@pytest.fixture
def held(shared: SharedRouter) -> Iterator[Held]:
    """A call of `form` by a new principal, answered with its question."""
    client = shared.client()
    assert client.post(tool_call("another", "plain")).result["content"][0]["text"] == "plain"
    call = tool_call("asking", "form", ARGUMENTS)
    result = client.post(call).result
    records = [shared.workspace.path / f"{name}.jsonl" for name in ("asking", "another")]
    held = Held(client, call, result, records, [record.read_bytes() for record in records])
    yield held
    held.finish(result)


def _check_refused(answer: Any) -> None:
    assert answer.refusal == REFUSED
    assert answer.error["message"] == SAYS
    assert answer.message["id"] == "retry"


# --- Tampered with ---------------------------------------------------------------------------


def test_state_with_any_character_changed_is_refused(held: Held) -> None:
    state = held.state
    for shared, was in enumerate(state):
        other = "A" if was != "A" else "B"
        _check_refused(held.retry(state[:shared] + other + state[shared + 1 :]))
    held.check_untouched()


def test_state_has_one_spelling(held: Held) -> None:
    """Base64 may have bits to spare in its last character: other spellings of the same bytes."""
    state = held.state
    for last in ALPHABET + "+/=. ":
        if last != state[-1]:
            _check_refused(held.retry(state[:-1] + last))
    held.check_untouched()


def test_state_that_was_cut_anywhere_is_refused(held: Held) -> None:
    for length in range(len(held.state)):
        _check_refused(held.retry(held.state[:length]))
        _check_refused(held.retry(held.state[length + 1 :]))
    held.check_untouched()


@pytest.mark.parametrize("added", ["A", "=", "==", ".", " ", "\n", "\0", "\u0142"])
def test_state_with_something_added_is_refused(added: str, held: Held) -> None:
    _check_refused(held.retry(held.state + added))
    _check_refused(held.retry(added + held.state))
    held.check_untouched()


def test_states_of_two_calls_do_not_mix(held: Held) -> None:
    call = tool_call("another", "form", ARGUMENTS)
    result = held.client.post(call).result
    other, middle = result["requestState"], len(held.state) // 2
    _check_refused(held.retry(other))
    _check_refused(held.retry(other[:middle] + held.state[middle:]))
    _check_refused(held.retry(held.state[:middle] + other[middle:]))
    for each in (held, attrs.evolve(held, call=call, result=result)):
        assert json.loads(each.honest()["content"][0]["text"]) == [FORM_FILLED]


# --- Somebody else's, something else's -------------------------------------------------------


def test_state_of_another_principal_is_refused(held: Held, shared: SharedRouter) -> None:
    _check_refused(held.retry(held.state, shared.client()))
    held.check_untouched()


def test_state_that_was_used_is_refused(held: Held) -> None:
    assert json.loads(held.honest()["content"][0]["text"]) == [FORM_FILLED]
    after = [record.read_bytes() for record in held.records]
    _check_refused(held.retry(held.state))
    assert [record.read_bytes() for record in held.records] == after


WANTED: Final = {"instance_name": "asking", "tool_name": "form", "arguments": ARGUMENTS}


@pytest.mark.parametrize(
    "params",
    [
        {"arguments": WANTED | {"tool_name": "twice"}},
        {"arguments": WANTED | {"tool_name": "plain"}},
        {"arguments": WANTED | {"tool_name": "nothing"}},
        {"arguments": WANTED | {"instance_name": "another"}},
        {"arguments": WANTED | {"instance_name": "nobody"}},
        {"arguments": WANTED | {"arguments": {}}},
        {"arguments": WANTED | {"arguments": ARGUMENTS | {"more": 1}}},
        {"arguments": WANTED | {"arguments": ARGUMENTS | {"kept": [1]}}},
        {"name": "mcp.router.list", "arguments": {}},
        {"name": "mcp.router.use", "arguments": {"instance_name": "asking"}},
        {"name": "form", "arguments": ARGUMENTS},
        {"name": "asking__form", "arguments": ARGUMENTS},
    ],
    ids=[
        "tool",
        "tool-that-asks-nothing",
        "no-tool",
        "instance",
        "no-instance",
        "no-arguments",
        "argument-more",
        "argument-changed",
        "list",
        "use",
        "own-name",
        "direct-name",
    ],
)
def test_state_of_another_call_is_refused(params: dict[str, Any], held: Held) -> None:
    _check_refused(held.retry(held.state, **params))
    held.check_untouched()


# --- Made up ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        "",
        "A",
        "nonsense",
        "A" * 43,
        "\u0142\u0142",
        "\0",
        base64.urlsafe_b64encode(b'{"principal": "p0", "instance": "asking"}').decode(),
        "." * 300,
        "A" * 100_000,
        0,
        1,
        1.5,
        True,
        [],
        {},
        ["A"],
    ],
    ids=lambda state: repr(state)[:20],
)
def test_state_that_never_was_is_refused(state: Any, held: Held) -> None:
    _check_refused(held.retry(state))
    held.check_untouched()


@pytest.mark.parametrize(
    "answers", [None, {}, {"nobody-asked": FORGED}], ids=["none", "empty", "unknown"]
)
def test_state_without_the_answers_has_the_same_asked_again(answers: Any, held: Held) -> None:
    message = held.call | {"id": "again"}
    more = {"requestState": held.state, "inputResponses": answers}
    message["params"] = held.call["params"] | more
    again = attrs.evolve(held, result=held.client.post(message).result)
    assert asked(again.result) == asked(held.result)
    _check_refused(held.retry(held.state))
    again.check_untouched()


@pytest.mark.parametrize("answers", [[], "yes", 1, "each"], ids=repr)
def test_answers_of_another_form_are_refused(answers: Any, held: Held) -> None:
    message = held.call | {"id": "retry"}
    if answers == "each":
        answers = dict.fromkeys(asked(held.result), "yes")
    params = {"requestState": held.state, "inputResponses": answers}
    message["params"] = held.call["params"] | params
    assert held.client.post(message).refusal == REFUSED
    held.check_untouched()


# --- What can be read in it ------------------------------------------------------------------


def test_nothing_can_be_read_in_a_state(held: Held) -> None:
    state = held.state
    padded = state + "=" * (-len(state) % 4)
    forms = [state.encode(), base64.urlsafe_b64decode(padded), state[::-1].encode()]
    for word in (b"asking", b"form", b"router", b"stdio", b"http", b"name", b"kept", b"Who are"):
        assert not any(word in form or word.hex().encode() in form for form in forms)


def test_two_states_of_the_same_call_have_nothing_in_common(held: Held) -> None:
    """A state looks random throughout, so it tells neither the call nor the principal."""
    held.check_untouched()
    again = held.client.post(held.call).result
    common = sum(a == b for a, b in zip(held.state, again["requestState"], strict=False))
    assert common < len(held.state) / 4
    assert held.finish(again).result["content"]


def test_handshake_client_has_no_use_for_a_state(held: Held) -> None:
    """Without the envelope, a retry is a call like any other and answers nothing."""
    params = {**held.call["params"], "requestState": held.state, "inputResponses": {}}
    del params["_meta"]
    bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    held.client.ask("POST", bare)
    assert not any(b"Mallory" in record.read_bytes() for record in held.records)
    held.honest()


def test_capabilities_may_change_but_the_call_stays_the_same(held: Held) -> None:
    """The envelope is each request's own: only what is asked for is bound."""
    answers = dict.fromkeys(asked(held.result), FORM_FILLED)
    message = retried(held.call, held.result, answers, "other-envelope")
    message["params"]["_meta"] = envelope(ALL_CAPABILITIES | {"experimental": {"x": {}}})
    assert json.loads(held.client.post(message).result["content"][0]["text"]) == [FORM_FILLED]
