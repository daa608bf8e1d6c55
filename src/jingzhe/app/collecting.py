"""Wires collection: the inbox, the drain and whose each call is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jingzhe.app.customers import Customers
from jingzhe.app.stating import InTurn
from jingzhe.app.workspace import Workspace
from jingzhe.collect.customer_queries import LAST_PERSON
from jingzhe.collect.draining import Drain
from jingzhe.collect.observing import Observed
from jingzhe.collect.seen import Seen
from jingzhe.consent.minding import Mind
from jingzhe.core.errors import IdentityError
from jingzhe.core.sealing import Sealer
from jingzhe.core.settings import Settings
from jingzhe.identity.observations import KeyColumn, Observations
from jingzhe.identity.resolving import resolve
from jingzhe.identity.rules import load_rules
from jingzhe.store.state import counting
from jingzhe.store.state.inbox import Inbox
from jingzhe.store.warehouse import Warehouse


def open_inbox(settings: Settings) -> Inbox:
    """Opens the inbox of a project that is open; creates it where it is not there.

    Raises:
        SealError: the key file, which the project was opened with, cannot be read any more.
        StateError: it cannot be reached.
    """
    file = settings.key_file
    return Inbox.open(settings.resolved_inbox_url, Sealer(file.read(), file.path))


@dataclass(frozen=True)
class People:
    """Says whose calls are, by the project's identity graph.

    Args:
        warehouse: of the project.
    """

    warehouse: Warehouse

    def begin(self) -> None:
        """Makes sure that the graph knows whom imports brought, and that their numbers are not given out again."""
        with self.warehouse.reading() as session:
            last = int(session.run(LAST_PERSON)["person_id"][0].as_py())
        with self.warehouse.state.writing() as connection:
            counting.raise_to(connection, counting.PEOPLE, last)
        Customers(self.warehouse).adopt()

    def resolve(self, seen: Observed) -> NDArray[np.int64]:
        """Returns the person under whom each call is filed; 0 where its keys are nobody's."""
        # Else somebody whom a file has brought meanwhile would get a second number.
        Customers(self.warehouse).adopt()
        if seen.stated:
            return InTurn(self._seen_together, self.warehouse.state, self.warehouse.clock)(seen)
        return self._seen_together(seen)

    def _seen_together(self, seen: Observed) -> NDArray[np.int64]:
        columns = tuple(KeyColumn(kind, values) for kind, values in seen.columns)
        observations = Observations(columns, seen.at_us, seen.events)
        state, clock = self.warehouse.state, self.warehouse.clock
        rules = load_rules(state)
        try:
            return resolve(state, observations, batch_id=seen.batch_id, clock=clock, rules=rules).homes
        except IdentityError:
            # A drain died after this step, and what is known or how it is read has changed since; or it looks for the
            # events at which it fails. Nothing of it was published, so it counts as seen again.
            again = f"{seen.batch_id} again {uuid.uuid4().hex}"
            return resolve(state, observations, batch_id=again, clock=clock, rules=rules).homes


def drain_of(workspace: Workspace, inbox: Inbox) -> Drain:
    """Returns what drains a project's inbox; to be kept as long as it is drained again and again."""
    settings, people = workspace.settings, People(workspace.warehouse)
    people.begin()
    return Drain(
        workspace.warehouse, inbox, people.resolve, settings.timezone, settings.currency or None,
        Seen(settings.dedupe_days), minding=Mind(workspace.warehouse.state),
    )  # fmt: skip
