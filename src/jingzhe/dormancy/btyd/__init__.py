"""Buy till you die: who is still a customer, who will come back within a horizon, and what that is worth.

    purchases   summarise: raw purchases → one history (x, t_x, T, mean amount) per person
    summary     Summary: histories in days; equal ones merge into one weighted row
    bgnbd       BgNbd: may lapse at each repeat purchase          ┐ geometric: what these two share
    mbgnbd      MbgNbd: may lapse at each purchase                ┘
    paretonbd   ParetoNbd: may lapse at any moment
    gammagamma  GammaGamma: the worth of a purchase
    clv         clv: both together, discounted, with an interval
    model       what each purchase model answers: p_alive, p_return, expected_purchases
    fitted      parameters, standard errors, to_dict and from_dict
    fitting     Newton's method on the likelihood
    quadrature  the integrals
    history     checks of the arrays

Histories and horizons are in days; parameters are in weeks unless ``time_unit_days`` says otherwise.
"""

from jingzhe.dormancy.btyd.bgnbd import BgNbd
from jingzhe.dormancy.btyd.clv import LifetimeValue, clv
from jingzhe.dormancy.btyd.fitting import Fit
from jingzhe.dormancy.btyd.gammagamma import GammaGamma
from jingzhe.dormancy.btyd.mbgnbd import MbgNbd
from jingzhe.dormancy.btyd.model import PurchaseModel
from jingzhe.dormancy.btyd.paretonbd import ParetoNbd
from jingzhe.dormancy.btyd.purchases import summarise
from jingzhe.dormancy.btyd.summary import Summary

__all__ = [
    "BgNbd",
    "Fit",
    "GammaGamma",
    "LifetimeValue",
    "MbgNbd",
    "ParetoNbd",
    "PurchaseModel",
    "Summary",
    "clv",
    "summarise",
]
