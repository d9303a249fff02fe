"""Rows of a table become requests: in their order, users hashed, the truth left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.ids import hash_user
from core.records.answers import Request
from core.tables import Columns, read_rows
from pipelines.logging import requests
from pipelines.logging.all import All


def test_requests_carry_everything_but_the_truth_and_the_user(tmp_path: Path) -> None:
    path = tmp_path / "stream.csv"
    path.write_text(
        "request_id,timestamp,user_id,text,label,domain\n"
        "r1,2026-01-05 08:00:00,ann,hi,SECRET,talk\n"
        "r2,2026-01-05 08:00:01,,bye,SECRET,\n"
    )
    found = requests(read_rows(path, Columns(label="label", time="timestamp")).frame)
    at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert found == [
        Request("r1", at, "hi", hash_user("ann"), {"domain": "talk"}),
        Request("r2", at.replace(second=1), "bye", "", {}),
    ]
    assert type(found[0].timestamp) is datetime
    assert "SECRET" not in str(found)
    assert "ann" not in str(found)


def test_no_row_is_no_request(tmp_path: Path) -> None:
    path = tmp_path / "stream.csv"
    path.write_text("timestamp,text\n2026-01-05, \n")
    assert requests(read_rows(path, Columns(time="timestamp")).frame) == []


def test_the_text_limit_is_a_setting() -> None:
    assert All(policy="all").max_text_characters == 10_000
    with pytest.raises(ValidationError, match="greater than 0"):
        All(policy="all", max_text_characters=0)
