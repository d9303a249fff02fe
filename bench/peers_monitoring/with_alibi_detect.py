"""alibi-detect: two-sample tests on embeddings, p < 0.05, PyTorch or SciPy behind them."""

from alibi_detect.cd import ClassifierDrift, KSDrift, LSDDDrift, MMDDrift
from rows import Detector, each
from sklearn.linear_model import LogisticRegression


def by_distance(make):
    """Its statistic is the score: p-values of a hundred permutations are too coarse for a curve."""

    def fit(reference):
        detector = make(reference.embedding)

        def judge(window):
            data = detector.predict(window.embedding)["data"]
            return data["distance"], data["is_drift"]

        return judge

    return each(fit)


def kolmogorov(reference):
    """Feature by feature, Bonferroni: the largest of 384 statistics."""
    detector = KSDrift(reference.embedding)

    def judge(window):
        data = detector.predict(window.embedding)["data"]
        return data["distance"].max(), data["is_drift"]

    return judge


def classifier(reference):
    """The scikit-learn backend with the logistic regression of its documentation."""
    detector = ClassifierDrift(
        reference.embedding, LogisticRegression(max_iter=1000), backend="sklearn", seed=0
    )

    def judge(window):
        data = detector.predict(window.embedding)["data"]
        return data["distance"], data["is_drift"]

    return judge


DETECTORS = {
    "mmd": Detector(
        by_distance(lambda x: MMDDrift(x, backend="pytorch")), "p < 0.05, 100 permutations"
    ),
    "lsdd": Detector(
        by_distance(lambda x: LSDDDrift(x, backend="pytorch")), "p < 0.05, 100 permutations"
    ),
    "ks": Detector(each(kolmogorov), "p < 0.05, Bonferroni over the features"),
    "classifier": Detector(each(classifier), "p < 0.05"),
}
