"""The head: multinomial logistic regression on embeddings. Its set of labels can only grow."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.files import write_whole

WEIGHTS = "head.safetensors"
LABELS = "labels.json"


@dataclass(frozen=True, eq=False)
class Head:
    """Linear scores of embeddings.

    >>> head = Head(["no", "yes"], np.array([[0.0], [2.0]], np.float32), np.zeros(2, np.float32))
    >>> head.probabilities(np.array([[0.0], [1.0]])).round(3).tolist()
    [[0.5, 0.5], [0.11900000274181366, 0.8809999823570251]]
    """

    labels: list[str]  # sorted
    weight: Array  # (n_labels, dim) float32
    bias: Array  # (n_labels,) float32

    def probabilities(self, embeddings: Array) -> Array:
        """Softmax of the linear scores: (m, dim) of any float -> (m, n_labels) float32."""
        return softmax(self.scores(embeddings))

    def scores(self, embeddings: Array) -> Array:
        """(m, dim) of any float -> (m, n_labels) float32."""
        scores: Array = embeddings.astype(np.float32) @ self.weight.T + self.bias
        return scores

    def divided(self, temperature: float) -> Head:
        """With scores divided by a temperature: the same labels, surer below 1, less sure above."""
        by = np.float32(temperature)
        return Head(self.labels, self.weight / by, self.bias / by)

    def save(self, folder: Path) -> None:
        """head.safetensors and labels.json. The weights carry a digest of their labels."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"weight": self.weight, "bias": self.bias}
        names = json.dumps(self.labels, ensure_ascii=False, indent=1) + "\n"
        write_whole(folder / WEIGHTS, save(tensors, {"labels": _digest(self.labels)}))
        write_whole(folder / LABELS, names.encode())

    @staticmethod
    def load(folder: Path) -> Head:
        """Raises ModelError: a file missing or unreadable, labels and weights that do not match."""
        from safetensors import SafetensorError, safe_open

        try:
            labels = json.loads((folder / LABELS).read_text(encoding="utf-8"))
            with safe_open(folder / WEIGHTS, framework="np") as file:
                weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
                belongs = (file.metadata() or {}).get("labels")
        except (OSError, ValueError, SafetensorError) as fault:
            raise ModelError("the head cannot be read", where=str(folder), got=str(fault)) from None
        if not isinstance(labels, list) or not all(isinstance(n, str) for n in labels):
            raise ModelError(
                "the labels of the head are not names",
                where=str(folder / LABELS),
                got=json.dumps(labels)[:80],
                expected="a list of texts",
                do="take the model from the registry again",
            )
        shapes = weight.ndim == 2 and bias.shape == (len(labels),) == weight.shape[:1]
        if not shapes or belongs != _digest(labels):
            raise ModelError(
                "labels and weights of the head do not belong together",
                where=str(folder),
                got=f"{len(labels)} labels, weight {weight.shape}, bias {bias.shape}",
                expected="one row of weights and one bias a label, saved together",
                do="take the model from the registry again",
            )
        return Head(labels, weight, bias)


def softmax(scores: Array) -> Array:
    """(m, n_labels) -> shares that sum to 1 in each row."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = raised / raised.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class Fitting:
    """How a head is fitted; the default suits labels that are equally common."""

    balance: float = 1.0  # a row weighs 1 / (rows of its label) to this power
    penalty: float = 1 / 30  # of large weights (L2)
    names: float = 0.0  # rows that the name of a label counts for


BALANCED = Fitting()


def fit_head(
    embeddings: Array,
    labels: Sequence[str],
    *,
    start: Head | None = None,
    fitting: Fitting = BALANCED,
    names: Mapping[str, Array] | None = None,
    seed: int = 0,
) -> Head:
    """The head for these rows: (n, dim) of any float, n labels.

    L2-penalised maximum likelihood. With `balance` 1 every label weighs the same however few rows it
    has (King and Zeng 2001), with 0 every row. `names` are embeddings of the labels' names: the name
    of a label is a first row of it. The labels are those of the rows and of `start`; the fit begins at
    `start`, and a label of `start` without rows here keeps what it knew.

    >>> start = fit_head(np.eye(3), ["a", "b", "c"])
    >>> head = fit_head(np.eye(3)[:2], ["a", "d"], start=start)
    >>> head.labels, bool((head.weight[1] == start.weight[1]).all())
    (['a', 'b', 'c', 'd'], True)
    """
    if not len(labels):
        raise ModelError("a head cannot be fitted to no rows", expected="at least one labelled row")
    head = _grown(start, labels, embeddings.shape[1])
    here = np.flatnonzero(np.isin(head.labels, sorted(set(labels))))
    if len(here) == 1:  # nothing to tell apart
        return head
    rows = _rows(embeddings, labels, fitting, names or {})
    fitted = _fit(rows, head.weight[here], head.bias[here], fitting.penalty, seed)
    head.weight[here], head.bias[here] = fitted
    return head


def _rows(
    embeddings: Array, labels: Sequence[str], fitting: Fitting, names: Mapping[str, Array]
) -> tuple[Array, Array, Array]:
    """Embeddings, codes of their labels and weights: the rows, then the names of their labels."""
    known, codes, counts = np.unique(np.asarray(labels, str), return_inverse=True, return_counts=True)
    weights = counts ** -float(fitting.balance)
    weights *= len(codes) / (weights @ counts)
    named = [i for i, label in enumerate(known) if fitting.names and label in names]
    added = np.array([names[known[i]] for i in named], np.float32).reshape(-1, embeddings.shape[1])
    weight = np.append(weights[codes], weights[named] * fitting.names)
    rows = np.vstack([embeddings.astype(np.float32), added])
    return rows, np.append(codes, named).astype(int), weight


def _grown(start: Head | None, labels: Sequence[str], dim: int) -> Head:
    """`start` with a row of zeros for every new label, in arrays of its own."""
    known = start.labels if start else []
    names = sorted(set(known) | set(labels))
    head = Head(names, np.zeros((len(names), dim), np.float32), np.zeros(len(names), np.float32))
    if start:
        if start.weight.shape[1] != dim:
            raise ModelError(
                "head and embeddings are of different encoders",
                got=f"embeddings of {dim} numbers",
                expected=str(start.weight.shape[1]),
            )
        rows = np.searchsorted(names, known)
        head.weight[rows], head.bias[rows] = start.weight, start.bias
    return head


def _fit(
    rows: tuple[Array, Array, Array], weight: Array, bias: Array, penalty: float, seed: int
) -> tuple[Array, Array]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # tol is on the mean gradient of one label: with 150 labels 1e-3 stops after 5 steps and costs a
    # point of accuracy, 1e-5 doubles the time for nothing
    model = LogisticRegression(
        C=1 / penalty, max_iter=300, tol=1e-4, warm_start=True, random_state=seed
    )
    two = len(weight) == 2  # sklearn keeps one row for two labels: their difference
    embeddings, codes, weights = rows
    model.classes_ = np.arange(len(weight))
    model.coef_ = weight[1:] - weight[:1] if two else weight
    model.intercept_ = bias[1:] - bias[:1] if two else bias
    with warnings.catch_warnings():
        # 300 steps are enough to be useful; the evaluation set, not a gradient, judges the head
        warnings.simplefilter("ignore", ConvergenceWarning)
        # few rows a label is how a new intent begins, not a regression problem
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        model.fit(embeddings, codes, sample_weight=weights)
    coef, intercept = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if two:
        return np.vstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
    return coef, intercept


def _digest(labels: list[str]) -> str:
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()
