"""The ways of writing of :mod:`jingzhe.identity.keys`, a column at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jingzhe.identity.keys import BETWEEN, NORMALISERS, is_junk

_NOUGHTS = f"0{BETWEEN}"


def written_all(normaliser: str, values: pa.Array, region: str) -> pa.Array:
    """Returns every value in its one way of writing, null where it is none.

    Args:
        normaliser: name of the way of writing.
        values: strings.
        region: of telephone numbers.
    """
    if normaliser in {"plain", "folded"}:
        trimmed = pc.utf8_trim_whitespace(pc.utf8_normalize(values, "NFKC"))
        return pc.utf8_lower(trimmed) if normaliser == "folded" else trimmed
    write = NORMALISERS[normaliser]
    return pa.array([None if value is None else write(value, region) for value in values.to_pylist()], pa.string())


def junk_of(values: pa.Array, never: frozenset[str]) -> NDArray[np.bool_]:
    """Returns which values stand for none: as :func:`jingzhe.identity.keys.is_junk` says, and nulls."""
    folded = pc.utf8_lower(values)
    listed = pc.is_in(folded, pa.array(sorted(never), pa.string()))
    noughts = pc.equal(pc.binary_length(pc.utf8_trim(folded, characters=_NOUGHTS)), 0)
    junk = pc.or_(pc.or_(listed, noughts).fill_null(True), pc.is_null(values)).to_numpy(zero_copy_only=False)
    found: NDArray[np.bool_] = np.array(junk, bool)
    # One sign over and over cannot be said as a pattern; few end with the sign that they begin with.
    inner = pc.utf8_trim(folded, characters=BETWEEN)
    alike = pc.equal(pc.utf8_slice_codeunits(inner, 0, 1), pc.utf8_slice_codeunits(inner, -1, None)).fill_null(False)
    for place in np.flatnonzero(alike.to_numpy(zero_copy_only=False) & ~found).tolist():
        found[place] = is_junk(values[place].as_py(), never)
    return found
