"""Rewrites: a version reads its rows through them, earlier versions do not, and each can be undone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import rewrites
from core.errors import DataError
from core.rewrites import Rewrite
from core.workspace import Workspace
from pipelines.datasets.contents import rows_of
from pipelines.datasets.diff import diff
from pipelines.datasets.form import form_dataset
from pipelines.datasets.history import version
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import make_version
from tests.pipelines.datasets.small_versions import ALL, START, plan, second_version


def at(day: float) -> str:
    return (START + timedelta(days=day)).isoformat()


def targets(workspace: Workspace, id: str) -> set[str]:
    return set(rows_of(workspace.root, id)["target"])


def test_a_version_reads_its_rows_through_them_and_the_one_before_stays(one: Workspace) -> None:
    rename = Rewrite('.target == "card"', '.target = "cards"', at(1))
    rewrites.save(
        one.root, [rename, Rewrite('.target == "top_up"', "", at(1)), Rewrite("true", "", at(9))]
    )
    made = second_version(one)
    assert targets(one, "v0001") == {"card", "top_up"}
    assert "cards" in targets(one, "v0002")
    assert not {"card", "top_up"} & targets(one, "v0002")
    assert made.left_out["retired, as their truth has changed"] == 1
    changed = diff(one.root, "v0001", "v0002")
    assert set(changed.relabelled["target_before"]) == {"card"}
    assert set(changed.relabelled["target"]) == {"cards", "lost_card"}  # the second by a person
    assert set(changed.removed["target"]) == {"top_up"}
    assert not any(found.faults for found in verify(one.root))
    assert form_dataset(one, ALL)["rows_hash"]


def test_an_undone_one_counts_no_more(one: Workspace) -> None:
    rewrites.save(one.root, [Rewrite('.target == "top_up"', "", at(1))])
    second_version(one)
    after = rewrites.undo(rewrites.load(one.root), 1, START + timedelta(days=2.5))
    rewrites.save(one.root, after)
    make_version(one, None, plan(3), ALL, one.champion)
    assert "top_up" not in targets(one, "v0002")
    assert "top_up" in targets(one, "v0003")
    assert version(one.root, "v0003").left_out.get("retired, as their truth has changed") is None
    with pytest.raises(DataError, match="no such rewrite to undo"):
        rewrites.undo(after, 1, START)


@pytest.mark.parametrize(
    ("rewrite", "said"),
    [
        (Rewrite("true", ".target ="), "cannot be used"),
        (Rewrite("nope("), "cannot be used"),
        (Rewrite("true", ".target"), "gives the row with another target"),
        (Rewrite("true", '.input = "x"'), "gives the row with another target"),
        (Rewrite("true", ".target.name = 1"), "cannot be used"),
    ],
    ids=str,
)
def test_a_program_that_is_none_is_refused(rewrite: Rewrite, said: str) -> None:
    with pytest.raises(DataError, match=said):
        rewrites.rewritten([rewrite], ["hello"], ["hi"], [START])


def test_a_program_that_fails_on_a_row_does_not_mean_it() -> None:
    named = Rewrite('.target.name == "a"')
    assert rewrites.rewritten([named], ["x", "y"], ["text", '{"name": "a"}'], [START] * 2) == [
        "text",
        None,
    ]
