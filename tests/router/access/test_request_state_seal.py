"""Sealed text is neither read nor changed by the clients that carry it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access.request_state_seal import ProcessSeal

SEAL = ProcessSeal()
SECRET, CONTEXT = b"[12, 99.5]", b"somebody calls echo"


@given(st.binary(), st.binary())
def test_what_was_sealed_comes_back(secret: bytes, context: bytes) -> None:
    assert SEAL.unseal(SEAL.seal(secret, context), context) == secret


def test_the_same_secret_never_looks_the_same() -> None:
    assert SEAL.seal(SECRET, CONTEXT) != SEAL.seal(SECRET, CONTEXT)


def test_nothing_of_it_can_be_read() -> None:
    data = base64.urlsafe_b64decode(SEAL.seal(SECRET, CONTEXT))
    assert SECRET not in data
    assert CONTEXT not in data


@pytest.mark.parametrize("position", range(52))
def test_a_changed_character_anywhere_is_noticed(position: int) -> None:
    sealed = SEAL.seal(SECRET, CONTEXT)
    assert len(sealed) == 52
    other = "A" if sealed[position] != "A" else "B"
    with pytest.raises(ValueError, match=r"."):
        SEAL.unseal(sealed[:position] + other + sealed[position + 1 :], CONTEXT)


@pytest.mark.parametrize("sealed", ["", "=", "AAAA", "no base64!", "Ω", "A" * 52, "\n" * 52])
def test_made_up_text_is_noticed(sealed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SEAL.unseal(sealed, CONTEXT)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_cut_text_is_noticed(cut: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        SEAL.unseal(SEAL.seal(SECRET, CONTEXT)[:-cut], CONTEXT)


@pytest.mark.parametrize("padding", ["=", "==", "\n", " "])
def test_text_that_only_looks_the_same_is_noticed(padding: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SEAL.unseal(SEAL.seal(SECRET, CONTEXT) + padding, CONTEXT)


def test_another_context_is_noticed() -> None:
    with pytest.raises(ValueError, match="not sealed here"):
        SEAL.unseal(SEAL.seal(SECRET, CONTEXT), CONTEXT + b"!")


def test_what_another_process_sealed_is_noticed() -> None:
    with pytest.raises(ValueError, match="not sealed here"):
        SEAL.unseal(ProcessSeal().seal(SECRET, CONTEXT), CONTEXT)
