"""Known secrets are masked in texts; `test_record_text` has their forms in records."""

import pytest

from router.logs.masks import MOST_TOKENS, Masks


def test_without_secrets_a_text_stays_as_it_is() -> None:
    assert Masks().mask("nothing is known") == "nothing is known"


def test_secrets_are_masked_from_the_moment_they_are_known() -> None:
    masks = Masks()
    masks.add(["sk-12345"])
    masks.add(["another"])
    assert masks.mask("sk-12345, another, sk-1234") == "***, ***, sk-1234"


@pytest.mark.parametrize("written", ['a"b\nc-line', 'a\\"b\\nc-line', "c-line"])
def test_secret_is_masked_in_every_form(written: str) -> None:
    masks = Masks()
    masks.add(['a"b\nc-line'])
    assert masks.mask(f"<{written}>") == "<***>"


def test_short_values_are_not_masked() -> None:
    masks = Masks()
    masks.add(["true", ""])
    assert masks.mask("it is true") == "it is true"


def test_tokens_are_masked_until_many_later_ones_have_come() -> None:
    masks = Masks()
    masks.add(["a-secret-for-ever"])
    masks.add_token("token-of-the-start")
    masks.add_token("short")
    for number in range(MOST_TOKENS - 2):
        masks.add_token(f"token-number-{number}")
    text = "a-secret-for-ever token-of-the-start token-number-0 short"
    assert masks.mask(text) == "*** *** *** short"
    masks.add_token("token-of-the-start")
    masks.add_token("token-that-is-new")
    masks.add_token("token-that-is-newer")
    assert masks.mask(text) == "*** *** token-number-0 short"
