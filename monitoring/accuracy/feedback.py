"""What users said of answers: of each row whether a thumb was given, and whether it was corrected."""

from __future__ import annotations

import numpy as np

from core.arrays import Array, Frame
from core.records.answers import TRUTHS
from core.records.windows import Window
from core.tasks import RIGHT, Task
from core.tasks.words import score


def feedback_by_answer(window: Window, feedback: Frame, until: Array, task: Task) -> Frame:
    """Of each answer, in the order of the window: kept (chance that the log kept it), thumb (True is
    down, none where there is none), corrected, score (how right the last word makes it, 0..1, NaN where
    there is none). What was said counts before `until` (n,), in UTC."""
    import pandas as pd

    none = pd.Series([None] * len(window), dtype=object)
    if not len(window) or not len(feedback):
        return pd.DataFrame({"kept": window.kept, "thumb": none, "corrected": False, "score": np.nan})
    answers = window.rows[["prediction_id", "output"]].assign(until=until)
    told = feedback.merge(answers, on="prediction_id")
    told = told[pd.to_datetime(told["timestamp"], utc=True).dt.tz_convert(None) < told["until"]]
    told = told.sort_values("timestamp", kind="stable")
    thumbs = told[told["kind"] == "thumbs"].drop_duplicates("prediction_id", keep="last")
    down = dict(zip(thumbs["prediction_id"], thumbs["value"] == "down", strict=True))
    scored = told.assign(score=word_scores(told, task))
    scored = scored[scored["score"].notna()].drop_duplicates("prediction_id", keep="last")
    ids = answers["prediction_id"]
    corrected = ids.isin(set(told.loc[corrections(told, task), "prediction_id"])).to_numpy()
    scores = ids.map(scored.set_index("prediction_id")["score"]).to_numpy(dtype=float)
    return pd.DataFrame(
        {"kept": window.kept, "thumb": ids.map(down), "corrected": corrected, "score": scores}
    )


def corrections(told: Frame, task: Task) -> Array:
    """(n,) which words say that an answer, `output` beside them, should have been another."""
    rows = zip(told["kind"], told["value"], told["output"], strict=True)
    return np.array([k in TRUTHS and not task.agree(v, o) for k, v, o in rows], dtype=bool)


def complaints(told: Frame, task: Task) -> Array:
    """(n,) which words say that an answer is bad."""
    low = np.array(
        [(score(k, v) or 0) < RIGHT for k, v in zip(told["kind"], told["value"], strict=True)]
    )
    judged = told["kind"].isin(("thumbs", "rating")).to_numpy()
    return np.asarray(corrections(told, task) | (judged & low.astype(bool)))


def word_scores(told: Frame, task: Task) -> Array:
    """(n,) how right each word makes the answer, NaN where it does not say."""
    rows = zip(told["kind"], told["value"], told["output"], strict=True)
    return np.array([task.score(o, v) if k in TRUTHS else score(k, v) for k, v, o in rows], dtype=float)
