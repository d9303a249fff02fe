"""What time it is for a workspace: `everloop check --clock` and `--set-back`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from everloop.table import table
from flows.clock import newest, set_back
from flows.session import open_session


def clock(workspace: Path, back: bool) -> Iterator[str]:
    """The machine's clock and the newest record of each kind; first set back, where that is asked."""
    session, now = open_session(workspace), datetime.now(UTC)
    if back:
        decision, _ = set_back(session, now, getuser())
        yield decision.reason
    rows = [["this machine", f"{now:%Y-%m-%d %H:%M:%S}", ""]]
    rows += [
        [k.what, f"{k.time:%Y-%m-%d %H:%M:%S}", "later than now" * (k.time > now)]
        for k in newest(session)
    ]
    yield table(["newest", "time (UTC)", ""], rows)
