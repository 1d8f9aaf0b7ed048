"""Records as a frame whose columns have stated types, also where no record has a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.results import RESULT_COLUMNS

__all__ = ["DTYPES", "dtypes_of", "frame_of"]

DTYPES: Mapping[str, str] = {column.name: column.dtype for column in RESULT_COLUMNS}
"""Types of the columns of a result."""


def dtypes_of(names: Iterable[str]) -> dict[str, str]:
    """Types of some columns of a result, in the order asked for."""
    return {name: DTYPES[name] for name in names}


def frame_of(records: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """A row for each record and the columns of ``dtypes``; what a record lacks is missing."""
    return pd.DataFrame(
        {
            name: pd.Series([record.get(name) for record in records], dtype=dtype)
            for name, dtype in dtypes.items()
        }
    )
