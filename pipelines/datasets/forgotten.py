"""data/forgotten.json: which partitions were written anew because rows of them were forgotten.

    [{"partition": "v0003", "on": "2026-01-09", "rows": 1, "was": "<md5>", "is": "<md5>"}]

git keeps it with the versions. Nothing of a row is in it, only that some were there: old versions read
the new file in place of the old one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from core.arrays import Series
from core.errors import DatasetError
from pipelines.datasets.layout import order

if TYPE_CHECKING:
    from pipelines.datasets.manifest import Manifest


@dataclass(frozen=True)
class Rewritten:
    """One partition and one day. was, is: DVC's hashes of its file."""

    partition: str
    on: str
    rows: int  # of the file that are blank by now
    was: str
    # "is" is a keyword of Python, not of JSON
    now: str


def entries(text: str, where: str) -> list[Rewritten]:
    """What such a file says; none for an empty text. Raises DatasetError."""
    try:
        raw = json.loads(text) if text else []
        return [Rewritten(**{("now" if k == "is" else k): v for k, v in x.items()}) for x in raw]
    except (ValueError, TypeError, AttributeError) as fault:
        raise DatasetError(
            "data/forgotten.json does not say what was forgotten",
            where=where,
            got=str(fault).splitlines()[0],
            do="git checkout -- data/forgotten.json",
        ) from None


def to_json(found: Iterable[Rewritten]) -> str:
    ready = sorted(found, key=lambda e: (e.on, order(e.partition)))
    rows = [{("is" if k == "now" else k): v for k, v in asdict(e).items()} for e in ready]
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"


def replaced(found: Iterable[Rewritten]) -> dict[str, str]:
    """Old hash -> the one that stands for it today, however often the file was written anew.

    >>> a = Rewritten("v0003", "2026-01-09", 1, "old", "newer")
    >>> replaced([a, Rewritten("v0003", "2026-02-01", 2, "newer", "newest")])
    {'old': 'newest', 'newer': 'newest'}
    """
    step = {e.was: e.now for e in found if e.was != e.now}
    ends = {}
    for old in step:
        end = old
        while end in step:
            end = step[end]
        ends[old] = end
    return ends


def rows_gone(manifest: Manifest, sets: Series, found: Iterable[Rewritten]) -> str:
    """In words, how many rows of a version were forgotten; "" where none was. sets: (rows,) as the
    partitions say by now."""
    from pipelines.datasets.partitions import GONE

    gone = (sets == GONE).to_numpy() & (manifest.sets > 0)
    touched = [manifest.partitions[i] for i in manifest.touched(gone)]
    return told(int(gone.sum()), touched, found)


def told(rows: int, partitions: Iterable[str], found: Iterable[Rewritten]) -> str:
    """
    >>> told(1, ["v0003"], [Rewritten("v0003", "2026-01-09", 1, "old", "new")])
    '1 row was forgotten on 2026-01-09'
    """
    touched = set(partitions)
    days = sorted({e.on for e in found if e.partition in touched})
    when = f" on {', '.join(days)}" if days else ""
    return f"{rows} row{' was' if rows == 1 else 's were'} forgotten{when}" if rows else ""
