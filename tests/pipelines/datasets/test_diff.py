"""What `diff` says of two versions, as a value and as a page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from core.workspace import Workspace
from pipelines.datasets.diff import diff
from pipelines.datasets.diff_page import write_diff
from pipelines.datasets.versions import make_version
from pipelines.datasets.window import WindowFormation
from tests.pipelines.datasets.small_versions import ALL, plan, rows


def test_segments_move_with_their_rows(one: Workspace) -> None:
    new = rows(["a", "b", "c", "d"], day=1).assign(segments='{"channel": "app", "topic": "cards"}')
    make_version(one, new, plan(2), ALL, None)
    found = diff(one.root, "v0001", "v0002")
    assert found.segments.values.tolist() == [
        ["channel=app", 0.0, 4 / 7],
        ["topic=cards", 0.0, 4 / 7],
    ]
    assert found.to_text().splitlines()[-3:] == [
        "  share of segment in training (2 changed)",
        "    channel=app                        0.00% ->  57.14%",
        "    topic=cards                        0.00% ->  57.14%",
    ]


def test_rows_that_left_are_named(one: Workspace) -> None:
    """`window` forgets on purpose."""
    one.params.write_text("datasets:\n  policy: window\n  days: 1\n")
    late = rows(["late"], "fee", day=4.5)
    asked = replace(plan(5), parent="v0001")
    make_version(one, late, asked, WindowFormation(policy="window", days=1), None)
    found = diff(one.root, "v0001", "v0005")
    assert found.added["input"].tolist() == ["late"]
    assert sorted(found.removed["input"]) == ["lost card", "my card", "top up"]
    assert found.removed["set"].unique().tolist() == ["train"]
    back = diff(one.root, "v0005", "v0001")
    pd.testing.assert_frame_equal(back.added, found.removed)
    pd.testing.assert_frame_equal(back.removed, found.added)
    labels = found.labels.set_index("name")[["after", "before"]].set_axis(["before", "after"], axis=1)
    pd.testing.assert_frame_equal(labels, back.labels.set_index("name").loc[labels.index])


def test_a_row_that_changes_its_set_is_moved(one: Workspace) -> None:
    """Labelled again, and drawn for the audit this time."""
    again = rows(["my card", "lost card"]).assign(set=["audit", "train"])
    again["row_id"] = diff_ids(one, ["my card", "lost card"])
    make_version(one, again, plan(2), ALL, None)
    found = diff(one.root, "v0001", "v0002")
    assert found.moved[["input", "set_before", "set"]].values.tolist() == [
        ["my card", "train", "audit"]
    ]
    assert found.added.empty
    assert found.removed.empty
    assert found.relabelled.empty
    assert "  moved         1" in found.to_text()


def diff_ids(workspace: Workspace, texts: list[str]) -> list[str]:
    from pipelines.datasets.partitions import read

    known = read(workspace.reservoir).set_index("input")["row_id"]
    return [known[text] for text in texts]


def test_a_version_is_as_itself(two: Workspace) -> None:
    found = diff(two.root, "v0002", "v0002")
    assert all(part.empty for _, part in found.parts())
    assert found.to_text() == (
        "v0002 -> v0002\n  added train   0\n  added eval    0\n  removed train 0\n  removed eval  0\n"
        "  relabelled    0"
    )


def test_two_branches_may_use_one_name(one: Workspace, tmp_path: Path) -> None:
    """The same partition name with other rows is another partition."""
    import shutil

    other = Workspace(shutil.copytree(one.root, tmp_path / "other", symlinks=True))
    make_version(one, rows(["mine"], day=1), plan(2), ALL, None)
    make_version(other, rows(["theirs"], day=1), plan(2), ALL, None)
    from pipelines.datasets.dvc_git import Repository

    repository = Repository(one.root)
    repository.git(
        "fetch", "--quiet", str(other.root), "refs/tags/dataset/v0002:refs/tags/dataset/v0003"
    )
    shutil.copytree(other.state / "remote", one.state / "remote", dirs_exist_ok=True)
    found = diff(one.root, "v0002", "v0003")
    assert found.added["input"].tolist() == ["theirs"]
    assert found.removed["input"].tolist() == ["mine"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_has_every_number_and_escapes_every_text(one: Workspace, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> \" ' &"
    late = rows([evil, *(f"text {i}" for i in range(60))], "fee", day=1)
    again = rows(["lost card"], "lost_card")
    again["row_id"] = diff_ids(one, ["lost card"])
    make_version(one, pd.concat([late, again]), plan(2), ALL, None)
    html = write_diff(diff(one.root, "v0001", "v0002"), tmp_path / "diff.html").read_text()
    parsed = Tags()
    parsed.feed(html)
    assert parsed.open == []
    assert "script" not in parsed.seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>61</b><span>added train</span>" in html
    assert "11 more; everloop data export writes them all" in html
    assert '<span class="was">card</span> <span class="tag ">lost_card</span>' in html
    assert "http" not in html
    assert "as of 2026-01-07 00:00 UTC" in html
