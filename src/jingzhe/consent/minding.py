"""What collection asks of consent, answered from the project's state store."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.collect.calls import Normalised, Refused
from jingzhe.collect.minding import Kept
from jingzhe.consent.addresses import salt_of
from jingzhe.consent.heard import Hearing
from jingzhe.consent.stripping import stripped
from jingzhe.consent.tombstones import Tombstones
from jingzhe.consent.traits import fields_of
from jingzhe.identity.rules import load_rules
from jingzhe.store.state import State


@dataclass
class Mind:
    """Answers :class:`jingzhe.collect.minding.Minding`.

    Args:
        state: of the project.
    """

    state: State
    _salt: bytes = b""
    _tombstones: Tombstones = field(init=False)

    def __post_init__(self) -> None:
        self._tombstones = Tombstones(self.state)

    def erased(self, calls: Normalised) -> NDArray[np.bool_]:
        """Tells which calls are of people who were erased."""
        return self._tombstones.of_calls(calls.keys).gone

    def stripped(self, calls: Normalised) -> Normalised:
        """Returns calls of others without what they carry of people who were erased."""
        return stripped(calls, self._tombstones.of_calls(calls.keys).carried, self._tombstones)

    def names_erased(self, refused: Refused) -> bool:
        """Tells whether a refused event names somebody who was erased."""
        return self.text_names_erased(refused.body.decode("utf-8", "replace"))

    def any_erased(self) -> bool:
        """Tells whether anybody was erased at all."""
        return self._tombstones.look()

    def customers(self, kind: str, values: pa.Array) -> NDArray[np.bool_]:
        """Tells which customers of an import were erased."""
        return self._tombstones.which(kind, values)

    def text_names_erased(self, text: str) -> bool:
        """Tells whether a text names somebody who was erased."""
        return self._tombstones.in_text(text)

    def heard(self, calls: Normalised, homes: NDArray[np.int64]) -> Kept | None:
        """Returns what keeps what the calls say of consent."""
        self._salt = self._salt or salt_of(self.state)
        found = Hearing(fields_of(self.state), load_rules(self.state), self._salt).hear(calls, homes)
        return found.keep if found else None
