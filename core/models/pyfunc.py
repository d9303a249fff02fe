"""What `mlflow models serve` runs: texts in, label and score out. MLflow calls `_load_pyfunc`.

Every model that was ever logged names this module, so it stays where it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from core.models.base import Model
from core.models.families import load


class MlflowModel:
    """A saved model with the one method MLflow asks for."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002  MLflow passes params by name
        """A table whose first column is the text, or the texts themselves -> columns label, score."""
        texts = model_input.iloc[:, 0] if isinstance(model_input, pd.DataFrame) else model_input
        answers = self.model.answer([str(t) for t in texts])
        said = [(answer.output, answer.confidence) for answer in answers]
        return pd.DataFrame(said, columns=["label", "score"])


def _load_pyfunc(path: str) -> MlflowModel:
    return MlflowModel(load(Path(path)))
