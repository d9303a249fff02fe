"""A classifier made the way the loop makes one, small enough to be made in every test run."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from core.errors import ModelError
from core.models.classifier.encoder import load_encoder
from core.models.classifier.head import fit_head
from pipelines.testing.expectations import Contender, ContenderAnswers

TEXTS = {
    "cancel_order": [
        "cancel my order", "i want to cancel what i bought yesterday",
        "please stop my order before it ships",
        "call off the purchase i just made", "can i cancel an order that is on its way",
        "i changed my mind, cancel the order",
    ],
    "refund": [
        "i want my money back", "when will i get my refund", "refund me for the broken lamp",
        "the refund has not arrived on my account", "how do i ask for a refund",
        "give me back what i paid for this",
    ],
    "opening_hours": [
        "when do you open on sunday", "what are your opening hours", "is the shop open tonight",
        "until what time are you open", "do you close early on holidays", "when does the store close",
    ],
    "reset_password": [
        "i forgot my password", "reset my password please", "i cannot log in with my password",
        "how do i choose a new password", "send me a link to change the password",
        "my login password does not work any more",
    ],
    "track_parcel": [
        "where is my parcel", "track my package", "the delivery is late, where is it",
        "has my parcel been sent already", "what is the tracking number of my package",
        "when will the courier bring my package",
    ],
}  # fmt: skip
EVERY_THIRD = 3


@pytest.fixture(scope="session")
def fixed() -> pd.DataFrame:
    """Two texts of each label that training never sees."""
    return pd.DataFrame(
        [{"input": t, "target": k} for k, texts in TEXTS.items() for t in texts[2::EVERY_THIRD]]
    )


@pytest.fixture(scope="session")
def contender(fixed: pd.DataFrame) -> Contender:
    try:
        encoder = load_encoder("sentence-transformers/all-MiniLM-L6-v2")
    except ModelError as fault:
        pytest.skip(f"no encoder here: {fault.what}")
    held_out = set(fixed["input"])
    rows = [(t, k) for k, texts in TEXTS.items() for t in texts if t not in held_out]
    head = fit_head(encoder.encode([t for t, _ in rows]), [k for _, k in rows])
    return Contender("1", head, encoder.encode(list(fixed["input"])), encoder.encode)


@pytest.fixture(scope="session")
def ask(contender: Contender, fixed: pd.DataFrame) -> Callable[[list[str]], ContenderAnswers]:
    """The model's answers to the fixed rows and to more texts."""
    return lambda texts: ContenderAnswers(contender, list(fixed["input"]), texts)
