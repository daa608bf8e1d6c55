"""Wires imports to the identity graph: whose a customer's key is, and when the graph takes customers over."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.collect.met_keys import MetKeys
from jingzhe.collect.people import Filed, Joined
from jingzhe.consent.addresses import salt_of
from jingzhe.core.errors import SettingError
from jingzhe.identity import personal_keys
from jingzhe.identity.adopting import adopt_imported, homes_of
from jingzhe.identity.joining import Column, FileKeys, check_kinds, join_rows
from jingzhe.identity.observations import Coder
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

    def is_personal(self, kind: str) -> bool:
        """Tells whether the lake has keys of a kind as hashes only."""
        return load_rules(self.warehouse.state).kind(kind).personal

    def hashed(self, kind: str, customers: pa.Array) -> pa.Array:
        """Returns keys of a personal kind as hashes; those that are hashes stay as they are.

        Raises:
            SettingError: the kind is not personal.
        """
        state = self.warehouse.state
        found = Coder(load_rules(state), salt_of(state)).filed(kind, customers)
        if found is None:
            raise SettingError("Keys of this kind are not personal", kind=kind)
        return found

    def filed(self, kind: str, customers: pa.Array) -> Filed:
        """Returns customers' keys of a personal kind as the lake has them."""
        state, found = self.warehouse.state, self.hashed(kind, customers)
        written: dict[str, str] = {}
        for filed, text in zip(found.to_pylist(), customers.to_pylist(), strict=True):
            # What came as a hash already says nothing of what was written; of two ways of writing the first is kept.
            if filed != text:
                written.setdefault(filed, text)
        rows = personal_keys.sealed(state, personal_keys.not_kept(state, written))
        return Filed(found, lambda connection: personal_keys.keep(connection, rows))

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
