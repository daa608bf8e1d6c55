"""MBG/NBD: a person may lapse at each purchase, the first included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jingzhe.dormancy.btyd.geometric import GeometricModel


@dataclass(frozen=True, slots=True, kw_only=True)
class MbgNbd(GeometricModel):
    """MBG/NBD of Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24 (3), 201-209.

    The same model as CBG/NBD of Hoppe & Wagner (2007), Marketing JRM 3 (2), 75-90. Unlike BG/NBD it lets
    people lapse after their only purchase, so that `p_alive` falls with time for them, too.

    >>> model = MbgNbd(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> model.p_alive([0, 2], [0, 213], [272, 272]).round(3).tolist()
    [0.39, 0.706]
    """

    name: ClassVar[str] = "mbg-nbd"
    occasions_at_first_purchase: ClassVar[int] = 1
