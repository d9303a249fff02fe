"""small-text: its strategies on the day's rows, with our head behind its classifier's verbs."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from small_text import (
    BreakingTies,
    ContrastiveActiveLearning,
    DiscriminativeActiveLearning,
    EmbeddingKMeans,
    GreedyCoreset,
    LeastConfidence,
    LightweightCoreset,
    PredictionEntropy,
    SklearnClassifierFactory,
    SklearnDataset,
)


class Given:
    """A classifier that has read these rows already: a dataset of row numbers, day first."""

    def __init__(self, day):
        self.share = np.concatenate([day["share"], day["known_share"]]).astype(np.float64)
        self.embedding = np.concatenate([day["embedding"], day["known"]]).astype(np.float64)

    def predict_proba(self, rows):
        return self.share[rows]

    def embed(self, rows, return_proba=False, **_):
        return (self.embedding[rows], self.share[rows]) if return_proba else self.embedding[rows]


def given(strategy):
    def pick(day, _seed):
        n, m = len(day["embedding"]), len(day["known"])
        rows, y = np.arange(n + m), np.unique(day["label"], return_inverse=True)[1]
        return strategy().query(Given(day), rows, rows[:n], rows[n:], y, n=int(day["size"]))

    return pick


def discriminative(day, seed):
    """As in the paper it is from: a classifier of known against not, in ten small batches."""
    n, m = len(day["embedding"]), len(day["known"])
    x = np.concatenate([day["embedding"], day["known"]]).astype(np.float64)
    dataset = SklearnDataset(x, np.r_[np.zeros(n, int), np.ones(m, int)], target_labels=[0, 1])
    model = LogisticRegression(max_iter=1000, random_state=seed)
    size = int(day["size"])
    chooser = DiscriminativeActiveLearning(
        SklearnClassifierFactory(model, 2), num_iterations=min(10, size), pbar=None
    )
    rows = np.arange(n + m)
    return chooser.query(None, dataset, rows[:n], rows[n:], dataset.y[n:], n=size)


STRATEGIES = {
    "breaking-ties": given(BreakingTies),
    "least-confidence": given(LeastConfidence),
    "entropy": given(PredictionEntropy),
    "contrastive": given(lambda: ContrastiveActiveLearning(pbar=None)),
    "greedy-coreset": given(GreedyCoreset),
    "lightweight-coreset": given(LightweightCoreset),
    "embedding-k-means": given(EmbeddingKMeans),
    "discriminative": discriminative,
}
