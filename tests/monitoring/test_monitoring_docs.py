"""docs/monitoring.md names every signal as it is, and its params.yaml can be loaded."""

from __future__ import annotations

import re

import pytest
import yaml

from everloop.reference import signals
from monitoring import Monitoring
from monitoring.alerts.findings import SIGNALS
from tests import ROOT

PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_every_signal_stands_in_the_table() -> None:
    assert f"\n\n{signals()}\n" in PAGE, "run: make docs"
    assert signals().count("\n| `") == len(SIGNALS)
    assert "| `rows` | rows | quality | below its limit |" in signals()


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S))
def test_the_settings_shown_can_be_used(block: str) -> None:
    assert Monitoring.model_validate(yaml.safe_load(block)["monitoring"])


def test_the_commands_shown_exist() -> None:
    from typer.main import get_command

    from everloop.commands import app

    named = set(re.findall(r"everloop (\w+)", PAGE))
    assert named <= set(get_command(app).commands)  # type: ignore[attr-defined]  # a group
