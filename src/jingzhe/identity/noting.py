"""The pairs of keys that a batch's work notes, one by one and in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jingzhe.identity.evidence import OUTCOMES

Numbers = NDArray[np.int64]


class EdgeRow(NamedTuple):
    """One distinct pair of keys that was seen together.

    ``outcome``: same (one person already), merged (two people became one: ``kept`` took ``lost`` over), claimed (the
    history of an anonymous person, ``lost``, came to ``kept``), moved (a device now follows another person), or why
    it was refused: limit, blocked, never. A pair that was only seen beside a stronger key, or with one that belongs to
    nobody, is no evidence (beside): it is counted, and counts once that stronger key belongs to nobody.
    """

    person_id: int
    a: int
    b: int
    outcome: str
    kept: int | None
    lost: int | None
    number: int


@dataclass(frozen=True)
class Noted:
    """Pairs to note, in columns.

    Args:
        person: under whom each is filed.
        a: number of the key that stood first.
        b: number of the other one.
        outcome: place in :data:`jingzhe.identity.evidence.OUTCOMES`.
        kept: who took somebody over; 0 where nobody was.
        lost: who was taken over; 0 for nobody.
        number: observation that showed it.
    """

    person: Numbers
    a: Numbers
    b: Numbers
    outcome: Numbers
    kept: Numbers
    lost: Numbers
    number: Numbers

    @classmethod
    def of(cls, rows: list[EdgeRow]) -> Noted:
        """Returns single pairs as columns."""
        listed = [(*row[:3], OUTCOMES.index(row.outcome), row.kept or 0, row.lost or 0, row.number) for row in rows]
        return cls(*np.array(listed, np.int64).reshape(-1, 7).T)

    def and_then(self, other: Noted) -> Noted:
        """Returns these and others."""
        columns = (
            (self.person, other.person), (self.a, other.a), (self.b, other.b), (self.outcome, other.outcome),
            (self.kept, other.kept), (self.lost, other.lost), (self.number, other.number),
        )  # fmt: skip
        return Noted(*(np.concatenate(column) for column in columns)) if len(other.a) else self
