"""Wires imports to the identity graph: whose a customer's key is, and when the graph takes customers over."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.collect.met_keys import MetKeys
from jingzhe.collect.people import Joined
from jingzhe.identity.adopting import adopt_imported, homes_of
from jingzhe.identity.joining import Column, FileKeys, check_kinds, join_rows
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

    def check(self, kind: str, further: Sequence[str] = ()) -> None:
        """Raises where customers' keys, or further ones, cannot be used.

        Raises:
            IdentityError: strangers may share the customers' keys.
            SettingError: there is no such kind, or the further keys are the customers' own.
        """
        check_kinds(load_rules(self.warehouse.state), kind, further)

    def may_guess(self, kind: str, further: Set[str]) -> Set[str]:
        """Returns those kinds of ``further`` that there are and that the customers' own keys are not."""
        rules = load_rules(self.warehouse.state)
        return {one for one in further if one in rules.kinds and not rules.are_same(one, kind)}

    def homes(self, kind: str, customers: pa.Array) -> NDArray[np.int64]:
        """Returns under whom the facts of customers are filed, 0 where the graph does not know one."""
        self.adopt()
        return homes_of(self.warehouse.state, kind, customers)

    def join(self, kind: str, met: MetKeys, above: int) -> Joined:
        """Joins customers by their further keys, as far as the rules allow."""
        self.adopt()
        columns = [Column(*pair) for pair in zip(met.kinds, met.columns, strict=True)]
        keys = FileKeys(kind, met.customers, columns, met.places)
        found = join_rows(self.warehouse.state, keys, batch_id=met.batch_id, clock=self.warehouse.clock, above=above)
        unusable = {one: found.unusable[one] + long for one, long in zip(met.kinds, met.too_long, strict=True)}
        return Joined(found.customers, found.homes, found.new_people, found.merges, found.usable, unusable)

    def adopt(self) -> int:
        """Takes over whom imports brought since the graph was last used; returns how many were new."""
        return adopt_imported(self.warehouse)

    def adopt_if_used(self) -> int:
        """Takes them over where the graph is used at all."""
        return self.adopt() if self.is_used() else 0
