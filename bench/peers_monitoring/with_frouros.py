"""frouros: MMD on embeddings, EMD and KS on confidence, and detectors that take a row at a time."""

import numpy as np
from frouros.callbacks import PermutationTestDistanceBased
from frouros.detectors.concept_drift import (
    ADWIN,
    KSWIN,
    ADWINConfig,
    KSWINConfig,
    PageHinkley,
    PageHinkleyConfig,
)
from frouros.detectors.data_drift import EMD, MMD, KSTest
from rows import Detector, each


def mmd(reference):
    """Without its permutation test, which reads the kernel a thousand times: there is no default."""
    detector = MMD()
    detector.fit(X=reference.embedding)

    def judge(window):
        distance, _ = detector.compare(X=window.embedding)
        return distance.distance, False

    return judge


def mmd_tested(reference):
    """As in its documentation: a thousand permutations, p < 0.01."""
    detector = MMD(
        callbacks=[
            PermutationTestDistanceBased(
                num_permutations=1000, random_state=0, num_jobs=1, name="permutation", verbose=False
            )
        ]
    )
    detector.fit(X=reference.embedding)

    def judge(window):
        distance, logs = detector.compare(X=window.embedding)
        return distance.distance, logs["permutation"]["p_value"] < 0.01

    return judge


def emd(reference):
    detector = EMD()
    detector.fit(X=reference.score)

    def judge(window):
        distance, _ = detector.compare(X=window.score)
        return distance.distance, False

    return judge


def kolmogorov(reference):
    detector = KSTest()
    detector.fit(X=reference.score)

    def judge(window):
        test, _ = detector.compare(X=window.score)
        return test.statistic, test.p_value < 0.05

    return judge


def streaming(make, settings, default):
    """How sure the model is of each row, in turn. `settings` from the keenest to the strictest; the
    score of a day is the strictest that fired on it, and each begins again when it fires."""

    def judge(_reference, windows):
        doubt = 1.0 - windows.score
        strict = dict.fromkeys((int(d) for d in np.unique(windows.day)), 0)
        called = dict.fromkeys(strict, False)
        for place, setting in enumerate(settings, 1):
            detector = make(setting)
            for value, day in zip(doubt.tolist(), windows.day.tolist(), strict=True):
                detector.update(value=value)
                if detector.status["drift"]:
                    detector.reset()
                    strict[day] = place
                    called[day] |= setting == default
        return {d: (float(strict[d]), called[d]) for d in strict}

    return judge


DETECTORS = {
    "mmd": Detector(each(mmd), "none: a distance"),
    "mmd, tested": Detector(each(mmd_tested), "p < 0.01, 1,000 permutations"),
    "emd": Detector(each(emd), "none: a distance (of confidence)"),
    "ks": Detector(each(kolmogorov), "p < 0.05 (of confidence)"),
    "adwin": Detector(
        streaming(
            lambda d: ADWIN(config=ADWINConfig(delta=d)),
            (0.5, 0.1, 0.02, 0.002, 2e-4, 2e-6, 2e-9),
            0.002,
        ),
        "delta 0.002 (of confidence)",
        streaming=True,
    ),
    "page-hinkley": Detector(
        streaming(
            lambda t: PageHinkley(config=PageHinkleyConfig(lambda_=t)),
            (5.0, 10.0, 20.0, 50.0, 100.0, 200.0),
            50.0,
        ),
        "lambda 50 (of confidence)",
        streaming=True,
    ),
    "kswin": Detector(
        streaming(
            lambda a: KSWIN(config=KSWINConfig(alpha=a, seed=0)), (0.01, 0.001, 1e-4, 1e-5, 1e-6), 1e-4
        ),
        "alpha 0.0001 (of confidence)",
        streaming=True,
    ),
}
