"""Laws of the normal form of a label."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.label_names import normal

VALUES = (
    st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.decimals(-(10**20), 10**20)
)
UNSEEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\ufe0f", "\x07"]
WHITE = ["  ", "\u00a0", "\n", "\u3000", "\t \u2003", "\u2028", "\x85"]


@given(VALUES)
@example("e\u200b\u0301")
@example("T\u200brue")
@example("4\u200b.0")
def test_the_normal_form_of_a_normal_form_is_itself(value: Any) -> None:
    name = normal(value)
    assert normal(name) == name
    assert name == " ".join(unicodedata.normalize("NFC", name).split())


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1))
def test_two_unicode_forms_are_one_label(text: str) -> None:
    assert normal(unicodedata.normalize("NFD", text)) == normal(text)


@pytest.mark.parametrize("unseen", UNSEEN)
@pytest.mark.parametrize("place", ["{}balance due", "balance due{}", "bal{}ance due"])
def test_what_cannot_be_seen_makes_no_other_label(unseen: str, place: str) -> None:
    assert normal(place.format(unseen)) == "balance due"


@pytest.mark.parametrize("white", WHITE)
def test_white_space_is_one_space_inside_and_none_around(white: str) -> None:
    assert normal(f"{white}balance{white}due{white}") == "balance due"


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_one_label_in_every_type(number: int) -> None:
    if abs(number) < 10**16:
        assert {normal(x) for x in (number, float(number), str(number), f"{number}.0")} == {str(number)}
        assert normal(np.int64(number)) == normal(np.float64(number)) == str(number)


def test_an_emoji_made_of_several_stays_one() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert normal(f" {family}\u200d ") == family
