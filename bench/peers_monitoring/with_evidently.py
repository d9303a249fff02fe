"""Evidently: its embedding drift methods called directly, and its preset on label, score and length."""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics.embeddings import (
    DistanceDriftMethod,
    MMDDriftMethod,
    ModelDriftMethod,
    RatioDriftMethod,
)
from evidently.presets import DataDriftPreset
from rows import Detector, each

COLUMNS = DataDefinition(categorical_columns=["label"], numerical_columns=["score", "length"])


def embeddings(method):
    def fit(reference):
        theirs = pd.DataFrame(reference.embedding)

        def judge(window):  # the methods write into what they are given
            score, drift, _ = method(pd.DataFrame(window.embedding), theirs.copy())
            return score, drift

        return judge

    return each(fit)


def preset(reference):
    """Drift of the data set: at least half of its columns, each by the test Evidently chooses."""
    theirs = table(reference)

    def judge(window):
        run = Report([DataDriftPreset()]).run(table(window), theirs)
        share, columns = 0.0, []
        for metric in run.dict()["metrics"]:
            value, config = metric["value"], metric["config"]
            if "DriftedColumnsCount" in config["type"]:
                share = value["share"]
            else:
                columns.append(excess(config, float(value)))
        return sorted(columns)[-2], share >= 0.5  # two of three

    return judge


def excess(config, value):
    """How far a column is beyond its threshold, 1 at it. Some of the tests give p-values."""
    threshold = config.get("threshold") or 0.1
    if "p_value" in str(config.get("method", "")):
        return threshold / max(value, 1e-12)
    return value / threshold


def table(rows):
    frame = pd.DataFrame({"label": rows.label, "score": rows.score, "length": rows.length})
    return Dataset.from_pandas(frame, data_definition=COLUMNS)


DETECTORS = {
    "mmd": Detector(embeddings(MMDDriftMethod()), "MMD^2 > 0.015"),
    "model": Detector(embeddings(ModelDriftMethod()), "ROC AUC > 0.55"),
    "distance": Detector(embeddings(DistanceDriftMethod()), "Euclidean distance of means > 0.2"),
    "ratio": Detector(embeddings(RatioDriftMethod()), "a fifth of the components drift"),
    "preset": Detector(each(preset), "half of label, score and length drift"),
}
