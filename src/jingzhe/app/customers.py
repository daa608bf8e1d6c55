"""Wires imports to the identity graph: whose a customer's key is, and when the graph takes customers over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.identity.adopting import adopt_imported, check_kind, homes_of
from jingzhe.identity.rules import load_rules
from jingzhe.store.state.graph_notes import has_keys
from jingzhe.store.warehouse import Warehouse


@dataclass(frozen=True)
class Customers:
    """Answers :class:`jingzhe.collect.people.Graph`.

    Args:
        warehouse: of the project.
    """

    warehouse: Warehouse

    def is_used(self) -> bool:
        """Tells whether the identity graph knows anybody."""
        return has_keys(self.warehouse.state)

    def check(self, kind: str) -> None:
        """Raises where keys of a kind cannot say who somebody is.

        Raises:
            IdentityError: strangers may share such keys.
            SettingError: there is no such kind.
        """
        check_kind(load_rules(self.warehouse.state), kind)

    def homes(self, kind: str, customers: pa.Array) -> NDArray[np.int64]:
        """Returns under whom the facts of customers are filed, 0 where the graph does not know one."""
        self.adopt()
        return homes_of(self.warehouse.state, kind, customers)

    def adopt(self) -> int:
        """Takes over whom imports brought since the graph was last used; returns how many were new."""
        return adopt_imported(self.warehouse)

    def adopt_if_used(self) -> int:
        """Takes them over where the graph is used at all."""
        return self.adopt() if self.is_used() else 0
