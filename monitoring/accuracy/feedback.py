"""What users said of answers: of each row whether a thumb was given, and whether it was corrected."""

from __future__ import annotations

from core.arrays import Array, Frame
from core.records.windows import Window


def feedback_by_answer(window: Window, feedback: Frame, until: Array) -> Frame:
    """Of each answer, in the order of the window: kept (chance that the log kept it), thumb (True is
    down, none where there is none), corrected. What was said counts before `until` (n,), in UTC."""
    import pandas as pd

    if not len(window):
        return pd.DataFrame({"kept": [], "thumb": [], "corrected": []})
    if not len(feedback):
        none = pd.Series([None] * len(window), dtype=object)
        return pd.DataFrame({"kept": window.kept, "thumb": none, "corrected": False})
    answers = window.rows[["prediction_id", "output"]].assign(until=until)
    told = feedback.merge(answers, on="prediction_id")
    told = told[pd.to_datetime(told["timestamp"], utc=True).dt.tz_convert(None) < told["until"]]
    told = told.sort_values("timestamp", kind="stable")
    thumbs = told[told["kind"] == "thumbs"].drop_duplicates("prediction_id", keep="last")
    down = dict(zip(thumbs["prediction_id"], thumbs["value"] == "down", strict=True))
    wrong = told[(told["kind"] != "thumbs") & (told["value"] != told["output"])]
    ids = answers["prediction_id"]
    corrected = ids.isin(set(wrong["prediction_id"])).to_numpy()
    return pd.DataFrame({"kept": window.kept, "thumb": ids.map(down), "corrected": corrected})
