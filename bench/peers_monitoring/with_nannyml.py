"""NannyML: chunks of a day, thresholds three standard deviations of the reference's own chunks."""

import os

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml as nml
import numpy as np
import pandas as pd
from rows import Detector

START = pd.Timestamp("2026-01-05")


def univariate(reference, windows):
    """Jensen-Shannon distance of label and confidence, its threshold 0.1: the larger of the two."""
    made = nml.UnivariateDriftCalculator(
        column_names=["label", "score"],
        treat_as_categorical=["label"],
        timestamp_column_name="timestamp",
        chunk_period="D",
    )
    found = made.fit(table(reference)).calculate(table(windows))
    frame = found.filter(period="analysis").to_df()
    worst, drift = np.full(len(frame), -np.inf), np.zeros(len(frame), dtype=bool)
    for column in ("label", "score"):
        part = frame[column]["jensen_shannon"]
        worst = np.maximum(worst, part["value"].to_numpy(float))
        drift |= part["alert"].to_numpy(bool)
    return by_day(frame, worst, drift)


def reconstruction(reference, windows):
    columns = [f"e{i}" for i in range(reference.embedding.shape[1])]
    made = nml.DataReconstructionDriftCalculator(
        column_names=columns, timestamp_column_name="timestamp", chunk_period="D"
    )
    found = made.fit(table(reference, columns)).calculate(table(windows, columns))
    return judged(found.filter(period="analysis").to_df(), "reconstruction_error")


def domain_classifier(reference, windows):
    columns = [f"e{i}" for i in range(reference.embedding.shape[1])]
    made = nml.DomainClassifierCalculator(
        feature_column_names=columns, timestamp_column_name="timestamp", chunk_period="D"
    )
    found = made.fit(table(reference, columns)).calculate(table(windows, columns))
    return judged(found.filter(period="analysis").to_df(), "domain_classifier_auroc")


def judged(frame, name):
    """How far beyond the thresholds, 1 at either."""
    part = frame[name]
    value, low, high = (
        part[c].to_numpy(float) for c in ("value", "lower_threshold", "upper_threshold")
    )
    middle = (low + high) / 2
    score = np.abs(value - middle) / np.maximum((high - low) / 2, 1e-12)
    return by_day(frame, score, part["alert"].to_numpy(bool))


def by_day(frame, scores, drift):
    said = zip(chunk_days(frame), scores, drift, strict=True)
    return {int(d): (float(s), bool(a)) for d, s, a in said if np.isfinite(s)}


def chunk_days(frame):
    starts = pd.to_datetime(frame["chunk"]["chunk"]["start_date"])
    return (starts.dt.normalize() - START).dt.days.to_numpy()


def table(rows, columns=()):
    frame = pd.DataFrame(rows.embedding, columns=list(columns)) if columns else pd.DataFrame()
    frame["timestamp"] = START + pd.to_timedelta(rows.day, unit="D") + pd.Timedelta(hours=1)
    return frame.assign(label=rows.label, score=rows.score)


def estimate(path):
    """Accuracy by CBPE, a window a chunk: the reference has its truth, the windows have none."""
    data = np.load(path)
    columns = {str(name): f"p{i}" for i, name in enumerate(data["labels"])}
    reference = predicted(data, "reference", list(columns.values()))
    reference["truth"] = data["reference_truth"].astype(str)
    estimator = nml.CBPE(
        y_pred_proba=columns,
        y_pred="predicted",
        y_true="truth",
        problem_type="classification_multiclass",
        metrics=["accuracy"],
        timestamp_column_name="timestamp",
        chunk_period="D",
    )
    found = estimator.fit(reference).estimate(predicted(data, "analysis", list(columns.values())))
    frame = found.filter(period="analysis").to_df()
    values = frame["accuracy"]["value"].to_numpy(float)
    return {"values": values.tolist(), "windows": chunk_days(frame).tolist()}


def predicted(data, part, columns):
    """The window of a row stands as its day."""
    frame = pd.DataFrame(data[f"{part}_probabilities"].astype(float), columns=columns)
    frame["predicted"] = data[f"{part}_predicted"].astype(str)
    frame["timestamp"] = START + pd.to_timedelta(data[f"{part}_window"], unit="D")
    return frame


DETECTORS = {
    "univariate": Detector(univariate, "Jensen-Shannon > 0.1, label or confidence"),
    "reconstruction": Detector(reconstruction, "3 sd of the reference's days, PCA"),
    "domain classifier": Detector(domain_classifier, "ROC AUC outside 0.45 to 0.65"),
}
