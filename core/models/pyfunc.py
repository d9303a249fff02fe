"""What `mlflow models serve` runs: texts in, label and score out. MLflow calls `_load_pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from core.models.classifier.model import TextClassifier


class Served:
    """A saved TextClassifier with the one method MLflow asks for."""

    def __init__(self, model: TextClassifier) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002  MLflow passes params by name
        """A table whose first column is the text, or the texts themselves -> columns label, score."""
        texts = model_input.iloc[:, 0] if isinstance(model_input, pd.DataFrame) else model_input
        return pd.DataFrame(self.model.predict([str(t) for t in texts]), columns=["label", "score"])


def _load_pyfunc(path: str) -> Served:
    return Served(TextClassifier.load(Path(path)))
