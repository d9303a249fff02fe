"""Names for what travels in memory; none of them costs an import of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
Frame: TypeAlias = "pd.DataFrame"
Series: TypeAlias = "pd.Series[Any]"


def stacked(stored: Iterable[bytes]) -> Array:
    """(n, dim) float32 of vectors as they are stored, float16; (0, 0) of none.

    >>> stacked([np.float16([1, 2]).tobytes(), np.float16([3, 4]).tobytes()]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    rows = [np.frombuffer(raw, dtype=np.float16) for raw in stored]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), dtype=np.float32)
