"""Names for what travels in memory; none of them costs an import of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
Frame: TypeAlias = "pd.DataFrame"
Series: TypeAlias = "pd.Series[Any]"
