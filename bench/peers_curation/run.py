"""One query strategy of one library, in a process of its own, asked once a day.

    python run.py small_text:breaking-ties 0

A line on standard input is the path of an npz: `embedding` (n, dim) and `share` (n, labels) of the
day's requests, `known` (m, dim), `known_share` (m, labels) and `label` (m,) of what the model learnt
from, and `size`. The answer is a line of JSON: the positions it would have labelled, or why it cannot.
Everything a library prints goes to standard error.
"""

import contextlib
import importlib
import json
import os
import sys
import warnings
from importlib.metadata import version

import numpy as np

PACKAGES = {"small_text": "small-text", "skactiveml": "scikit-activeml"}


def main() -> None:
    warnings.simplefilter("ignore")
    strategy, seed = sys.argv[1], int(sys.argv[2])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing a library prints may stand beside the answer
    library, name = strategy.split(":")
    with contextlib.redirect_stdout(sys.stderr):
        pick = importlib.import_module(f"with_{library}").STRATEGIES[name]
        np.random.seed(seed)
        said = f"{PACKAGES[library]} {version(PACKAGES[library])}"
        for line in sys.stdin:
            with np.load(line.strip()) as day:
                rows = pick({k: day[k] for k in day.files}, seed)
            json.dump({"version": said, "rows": sorted({int(i) for i in rows})}, out)
            out.write("\n")
            out.flush()


if __name__ == "__main__":
    main()
