"""The encoder of a workspace: as params.yaml names it, or as its first rows ask for."""

from __future__ import annotations

import pandas as pd

from core.state import BaseEncoder, Champion
from flows.session import AUTO, Session


def choose_encoder(session: Session, rows: pd.DataFrame) -> None:
    """Under `model.encoder: auto`, once and before the first dataset: which one, and why."""
    state = session.store.state
    if session.strategy.model.encoder != AUTO or not session.task.labelled:
        return
    if state.read(BaseEncoder).name or state.read(Champion).version is not None:
        return
    from pipelines.training.base import choose_base

    model, texts = session.base, rows["text"].tolist()
    read = session.store.embeddings.of(texts, model.identity, model.embed, "initial")
    name, why = choose_base(model, texts, rows["label"].tolist(), read)
    state.write(BaseEncoder(name, why))
    vars(session).pop("base")  # it was the default until now
