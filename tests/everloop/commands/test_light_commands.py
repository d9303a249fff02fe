"""A command that only lists what is stored imports nothing heavy: it answers in half a second. One that
asks little of the champion leaves MLflow and torch alone, which take two seconds each; a look at a window
leaves Great Expectations alone, which takes as long, where the user wrote no checks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = [
    "dvc",
    "great_expectations",
    "mlflow",
    "pandas",
    "prefect",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
]
LIGHT = "keys list, data list, alerts"
CODE = """
import sys
from everloop.commands import app
for words in sys.argv[2].split(", "):
    app([*words.split(), "-w", sys.argv[1]], standalone_mode=False)
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_listing_what_is_stored_imports_nothing_heavy(empty: Path) -> None:
    imported = imported_by(CODE, empty, LIGHT)
    assert "numpy" in imported
    assert [name for name in HEAVY if name in imported] == []


def test_a_look_at_a_window_needs_neither_great_expectations_nor_mlflow(shop: Path) -> None:
    imported = imported_by(CODE, shop, "monitor --now 2026-01-06")
    assert "pandas" in imported
    assert [name for name in ("great_expectations", "mlflow") if name in imported] == []


def imported_by(code: str, *arguments: str | Path) -> list[str]:
    run = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


READS = """
import sys
from pathlib import Path
from core.models.classifier.encoder import load_encoder
from core.registry import Registry
from core.workspace import find
assert Registry(find(Path(sys.argv[1]))).path("1").is_dir()
assert load_encoder("sentence-transformers/all-MiniLM-L6-v2").tokens.unknown(["pay my bill"]) == [0]
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_models_folder_and_its_tokens_need_neither_mlflow_nor_torch(shop: Path) -> None:
    imported = imported_by(READS, shop)
    assert "tokenizers" in imported
    assert [name for name in ("mlflow", "torch", "transformers") if name in imported] == []
