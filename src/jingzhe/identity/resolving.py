"""Whose each observation is: a batch in one transaction, read in a few set queries and written back in bulk.

Who resolves takes turns with everybody else who does, so that several processes at once give what one after another
would. A batch has an id of its caller: resolved a second time, it answers the same and changes nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity.dissolving import dissolve
from jingzhe.identity.known import now_of, read_known
from jingzhe.identity.observations import Coded, Coder, Observations
from jingzhe.identity.rules import Rules, load_rules, project_salt
from jingzhe.identity.working import work
from jingzhe.identity.writing import Batch, Change, write
from jingzhe.store.state import State, counting
from jingzhe.store.state import identity_tables as tables

_CACHE_KB = 65_536
_AFTER_SPLIT = 1_024
"""So many observations are taken next where a key has passed its limit, and twice as many each time that none does."""


@dataclass(frozen=True)
class Resolved:
    """Whose the observations of a batch are.

    Args:
        homes: person under whom the facts of each observation are filed; a later merge never changes it, and when a
            merge is undone the facts are where they belong. 0 where no key could be used.
        people: who that person is now, merges included.
        change: number of the change to the graph.
        new_people: how many people were new.
        merges: how many people were taken over by another.
        junk: how many values stood for none.
        replayed: True where the batch had been resolved before.
        unusable: values that stood for none, by kind as it is stored; not known of a batch resolved before.
    """

    homes: NDArray[np.int64]
    people: NDArray[np.int64]
    change: int
    new_people: int = 0
    merges: int = 0
    junk: int = 0
    replayed: bool = False
    unusable: Mapping[str, int] = field(default_factory=dict)


def take_turn(connection: Connection) -> None:
    """Waits until nobody else changes the identity graph; holds until the transaction's end."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(counting.TURN))
    else:
        # The default of 2 MB is written and read again many times in one large batch.
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KB}")


def next_change(connection: Connection) -> int:
    """Returns the number of the change under way."""
    change = counting.last(connection, counting.CHANGES) + 1
    counting.raise_to(connection, counting.CHANGES, change)
    return change


def resolve(
    state: State,
    observations: Observations,
    *,
    batch_id: str,
    clock: Clock,
    rules: Rules | None = None,
    rule: str = "seen together",
) -> Resolved:
    """Says whose each observation is; keys that meet join people as far as the rules allow.

    Args:
        state: the state store.
        observations: in the order in which they count.
        batch_id: of the caller; the same batch again changes nothing.
        clock: when it is resolved.
        rules: None for the project's.
        rule: what joins are called in explanations.

    Returns:
        for each observation the person to file its facts under, and who that is now.

    Raises:
        IdentityError: the id was used for another batch.
        SettingError: a kind of key is not known.
        BusyError: another process held the store for too long; nothing was changed.
    """
    known_rules = rules or load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        coded = Coder(known_rules, project_salt(state, connection)).encode(observations)
        content = _content(coded)
        before = _replayed(connection, batch_id, content)
        if before is not None:
            return before
        batch = _Work(connection, Batch(coded, observations, rule), known_rules, clock.now())
        batch.run()
        row = {
            "batch_id": batch_id, "change": batch.change, "resolved_at": batch.at, "observations": len(observations),
            "content": content, "homes": zlib.compress(batch.homes.tobytes(), 1),
        }  # fmt: skip
        connection.execute(sa.insert(tables.identity_batch).values(row))
    return Resolved(
        batch.homes, batch.people, batch.change, batch.new_people, batch.merges, coded.junk, unusable=coded.unusable
    )


class _Work:
    """A batch's work: at once, but where a joining key passes its limit.

    There it stops, splits the key's person, and goes on with what there is then.

    Args:
        connection: a transaction that writes, and has its turn.
        batch: the observations.
        rules: what may join whom.
        at: when.
    """

    def __init__(self, connection: Connection, batch: Batch, rules: Rules, at: datetime) -> None:
        self._connection, self._batch, self._rules, self.at = connection, batch, rules, at
        self.homes = self.people = np.empty(0, np.int64)
        self.change = self.new_people = self.merges = 0

    def run(self) -> None:
        """Does it all."""
        total, begin, size, splits = len(self._batch.observations), 0, len(self._batch.observations), 0
        homes, people = [], []
        while True:
            end = min(begin + size, total)
            whole = (begin, end) == (0, total)
            part = self._batch if whole else self._batch.part(begin, end)
            known = read_known(self._connection, part.coded, self._rules)
            last_person = counting.last(self._connection, counting.PEOPLE)
            done = work(known, part.coded.matrix, last_person)
            crowded = [(row, code) for code, row in done.crowded.items() if known.strong[code]]
            if crowded and min(crowded)[0] + 1 < end - begin:
                size = min(crowded)[0] + 1
                continue
            self.change = next_change(self._connection)
            write(self._connection, part, known, done, Change(self.change, self.at))
            homes.append(done.homes)
            people.append(done.people)
            self.new_people += done.last_person - last_person
            self.merges += len(done.moved)
            for number in sorted(int(known.ids[code]) for _, code in crowded):
                self.change = next_change(self._connection)
                splits += len(dissolve(self._connection, self._rules, number, Change(self.change, self.at))) > 0
            begin = end
            size = _AFTER_SPLIT if crowded else 2 * size
            if begin >= total:
                break
        self.homes, self.people = np.concatenate(homes), np.concatenate(people)
        if len(homes) > 1 or splits:
            self.people = now_of(self._connection, self.homes)


def _content(coded: Coded) -> str:
    """Returns a mark of a batch's keys, by which another batch under the same id is noticed."""
    digest = hashlib.blake2b(coded.natural.tobytes(), digest_size=16)
    digest.update(coded.matrix.tobytes())
    return digest.hexdigest()


def _replayed(connection: Connection, batch_id: str, content: str) -> Resolved | None:
    """Returns what a batch that was resolved before gave, with its people as they are now."""
    table = tables.identity_batch
    row = connection.execute(sa.select(table).where(table.c.batch_id == batch_id)).first()
    if row is None:
        return None
    if row.content != content:
        raise IdentityError(
            "This batch was resolved before with other observations",
            hint="Give every batch an id of its own, and the same one only to repeat it unchanged.",
            batch=batch_id,
        )
    homes = np.frombuffer(zlib.decompress(row.homes), np.int64)
    return Resolved(homes, now_of(connection, homes), row.change, replayed=True)
