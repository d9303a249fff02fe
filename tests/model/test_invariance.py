"""INV: what must not change the label."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from pipelines.testing.expectations import ContenderAnswers
from pipelines.testing.probes import change_case, changed, politely, slip


@pytest.mark.parametrize(("change", "allowed"), [(change_case, 0), (slip, 2), (politely, 0)])
def test_inv_the_label_survives(
    ask: Callable[[list[str]], ContenderAnswers],
    fixed: pd.DataFrame,
    change: Callable[[str, int], str],
    allowed: int,
) -> None:
    probes = changed(fixed, change, n=10, seed=0)
    answers = ask([p.text for p in probes])
    turned = [p.text for p in probes if answers.label(p.text) != answers.label(p.sources[0])]
    assert len(probes) == 10
    assert len(turned) <= allowed, turned


def test_inv_a_text_is_read_the_same_whatever_stands_beside_it(
    ask: Callable[[list[str]], ContenderAnswers],
) -> None:
    text, others = "where is my parcel now", ["refund " * 40, "?", "cancel the order"]
    alone, among = ask([text]), ask([*others, text])
    assert among.chance(text, "track_parcel") == pytest.approx(
        alone.chance(text, "track_parcel"), abs=1e-3
    )
