"""BG/NBD: a person may lapse at each repeat purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jingzhe.dormancy.btyd.geometric import GeometricModel


@dataclass(frozen=True, slots=True, kw_only=True)
class BgNbd(GeometricModel):
    """BG/NBD of Fader, Hardie & Lee (2005).

    "'Counting Your Customers' the Easy Way", Marketing Science 24 (2), 275-284. Likelihood: eq. 6 and section
    7; `expected_purchases`: eq. 10; `p_alive`: Fader & Hardie, brucehardie.com/notes/021. `p_return` is
    exact: who is alive cannot lapse before the next purchase, so that P(no purchase in (T, T+h]) = 1 -
    P(alive) · (1 - ((α+T)/(α+T+h))^(r+x)).

    **`p_alive` is 1 for everybody who bought once**, however long ago: rank dormancy by `p_return` or
    `expected_purchases`.

    >>> model = BgNbd(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259)
    >>> model.p_alive([0, 2], [0, 213], [272, 272]).round(4).tolist()
    [1.0, 0.7266]
    >>> model.p_return(90, [0, 2], [0, 213], [272, 272]).round(4).tolist()
    [0.0612, 0.3212]
    """

    name: ClassVar[str] = "bg-nbd"
    occasions_at_first_purchase: ClassVar[int] = 0
