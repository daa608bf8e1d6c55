"""The seam to consent: which events are of people who were erased, and what events say of consent.

This part knows neither; the wiring gives something that does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.calls import Normalised, Refused


class Kept(Protocol):
    """Writes what was heard, within the transaction that publishes the events."""

    def __call__(self, connection: Connection, now: datetime) -> None:
        """Writes it."""
        ...


class Minding(Protocol):
    """What a drain and an import ask."""

    def erased(self, calls: Normalised) -> NDArray[np.bool_]:
        """Tells which calls are of people who were erased: they are dropped and counted."""
        ...

    def stripped(self, calls: Normalised) -> Normalised:
        """Returns calls of others without the keys of people who were erased, and without the values of these."""
        ...

    def names_erased(self, refused: Refused) -> bool:
        """Tells whether a refused event names somebody who was erased: it is dropped, not quarantined."""
        ...

    def any_erased(self) -> bool:
        """Tells whether anybody was erased at all; asked before the others, which answer as of then."""
        ...

    def customers(self, kind: str, values: pa.Array) -> NDArray[np.bool_]:
        """Tells which customers of an import were erased.

        Args:
            kind: of their keys.
            values: the keys.
        """
        ...

    def text_names_erased(self, text: str) -> bool:
        """Tells whether a line that could not be taken apart names somebody who was erased."""
        ...

    def heard(self, calls: Normalised, homes: NDArray[np.int64]) -> Kept | None:
        """Returns what keeps what the calls say of consent; None where they say nothing."""
        ...


def without_erased(minding: Minding | None, found: Normalised) -> tuple[Normalised, int]:
    """Returns the events of a drain without those of people who were erased, and how many those were."""
    if minding is None or not minding.any_erased():
        return found, 0
    gone = minding.erased(found)
    refused = [one for one in found.refused if not minding.names_erased(one)]
    erased = int(gone.sum()) + len(found.refused) - len(refused)
    kept = replace(found.only(~gone), refused=refused) if erased else found
    return minding.stripped(kept), erased
