"""DVC's settings of one machine, `.dvc/config.local`, which git does not carry."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from core.files import write_whole

LOCAL = ".dvc/config.local"
# DVC would else share a folder below /var/tmp with every user of the machine
SITE = "[core]\n    site_cache_dir = {}\n"


def local_settings(root: Path) -> str | None:
    """What `.dvc/config.local` must say, None where it says so: DVC takes no relative path, so a copied
    or moved workspace would go on writing where it was."""
    path = root.resolve() / LOCAL
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    here = re.sub(
        r"(?m)^(\s*site_cache_dir\s*=).*$",
        lambda m: f"{m[1]} {path.parent / 'tmp/site'}",
        known or SITE.format(""),
    )
    return here if here != known else None


def settle(root: Path) -> None:
    """Let DVC keep its notes in this workspace, also when it was copied or moved here."""
    with suppress(OSError):  # one that cannot be written needs it no more
        if (local := local_settings(root)) is not None:
            write_whole(root / LOCAL, local)
