"""One query strategy of one library, in a process of its own, on candidates of bench/picks.py.

    python run.py small_text:breaking-ties FOLDER 1000

The classifier is fitted already: it gives back the stored probabilities, so what is measured is the
strategy. Writes one line of JSON on standard output.
"""

import contextlib
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

MEMORY = 12 * 2**30  # of address space


def main() -> None:
    strategy, folder, picks = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data = {p.stem: np.load(p).astype(np.float32) for p in folder.glob("*.npy")}
    library, name = strategy.split(":")
    with contextlib.redirect_stdout(sys.stderr):
        query = {"small_text": small_text, "skactiveml": skactiveml}[library](name, data, picks)
        began = time.perf_counter()
        found = query()
    assert len(set(np.asarray(found).tolist())) == picks
    print(json.dumps({"seconds": time.perf_counter() - began}))


def small_text(name, data, picks):
    from small_text.query_strategies import coresets, strategies

    both = np.concatenate([data["candidates-embeddings"], data["known-embeddings"]])
    shares = np.concatenate([data["candidates-probabilities"], data["known-probabilities"]])
    count, known = len(data["candidates-embeddings"]), len(data["known-embeddings"])

    class Fitted:
        def predict_proba(self, _dataset):
            return shares

        def embed(self, _dataset, **_options):
            return both, shares

    kinds = {
        "breaking-ties": strategies.BreakingTies,
        "least-confidence": strategies.LeastConfidence,
        "entropy": strategies.PredictionEntropy,
        "core-set": coresets.GreedyCoreset,
        "k-means": strategies.EmbeddingKMeans,
    }
    truth = data["known-probabilities"].argmax(axis=1)
    open_, taken = np.arange(count), np.arange(count, count + known)
    return lambda: kinds[name]().query(Fitted(), both, open_, taken, truth, n=picks)


def skactiveml(name, data, picks):
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import Badge, CoreSet, DiscriminativeAL, UncertaintySampling
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([data["candidates-embeddings"], data["known-embeddings"]])
    shares = data["candidates-probabilities"]
    count, labels = len(shares), shares.shape[1]
    y = np.concatenate([np.full(count, np.nan), data["known-probabilities"].argmax(axis=1)])

    class Fitted(SkactivemlClassifier):
        def __init__(self, classes=None, missing_label=np.nan, cost_matrix=None, random_state=None):
            super().__init__(
                classes=classes,
                missing_label=missing_label,
                cost_matrix=cost_matrix,
                random_state=random_state,
            )

        def fit(self, X, y, sample_weight=None):
            self._validate_data(X, y, sample_weight)
            return self

        def predict_proba(self, X):
            return shares[: len(X)]

    methods = {
        "margin": "margin_sampling",
        "least-confidence": "least_confident",
        "entropy": "entropy",
    }
    fitted = Fitted(classes=np.arange(labels)).fit(x[count:], y[count:])
    if name in methods:
        strategy = UncertaintySampling(method=methods[name], random_state=0)
        return lambda: strategy.query(x, y, fitted, fit_clf=False, batch_size=picks)
    if name == "badge":
        return lambda: Badge(random_state=0).query(x, y, fitted, fit_clf=False, batch_size=picks)
    if name == "core-set":
        return lambda: CoreSet(random_state=0).query(x, y, batch_size=picks)
    told = SklearnClassifier(LogisticRegression(max_iter=200), classes=[0, 1])
    return lambda: DiscriminativeAL(random_state=0).query(x, y, told, batch_size=picks)


if __name__ == "__main__":
    main()
