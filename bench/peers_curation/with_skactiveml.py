"""scikit-activeml: its strategies that need no classifier of their own kind."""

import numpy as np
from skactiveml.pool import CoreSet, ProbCover, TypiClust


def among(strategy):
    def pick(day, seed):
        n = len(day["embedding"])
        x = np.concatenate([day["embedding"], day["known"]]).astype(np.float64)
        y = np.r_[np.full(n, np.nan), np.unique(day["label"], return_inverse=True)[1].astype(float)]
        return strategy(random_state=seed).query(
            x, y, candidates=np.arange(n), batch_size=int(day["size"])
        )

    return pick


STRATEGIES = {"core-set": among(CoreSet), "typiclust": among(TypiClust), "prob-cover": among(ProbCover)}
