"""Takes over people who were numbered elsewhere: the customers of imported files keep the numbers that they have.

An import looks customers up in the graph only where the graph knows anybody; until then it numbers them by the lake
alone, which is far quicker for a million of them, and leaves word (:mod:`jingzhe.store.state.graph_notes`). Whoever
uses the graph next takes them over first, so that the answer is the same either way.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError, SettingError
from jingzhe.identity import queries
from jingzhe.identity.evidence import OUTCOMES, NewEdges, add_edges
from jingzhe.identity.keyring import NewKeys, add_keys, keys_of_people
from jingzhe.identity.known import FRESH, Known, read_known
from jingzhe.identity.observations import Coded, Coder, KeyColumn, Observations
from jingzhe.identity.people import current
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, known_salt, load_rules, project_salt
from jingzhe.identity.writing import Change, move_people, touch
from jingzhe.store.query import one
from jingzhe.store.state import State, bulk, counting
from jingzhe.store.state.graph_notes import adopted, unadopted_since
from jingzhe.store.warehouse import Warehouse

_AT_ONCE = 100_000
RULE = "imported"
"""What explanations say where an import had given somebody a second number."""

UNADOPTED = one(
    "unadopted",
    "SELECT kind, value, person_id FROM identities WHERE batch >= $since_batch ORDER BY kind, person_id, value",
    "a key of a file that the graph may not know",
)


def adopt(
    state: State, kind: str, values: pa.Array, people: NDArray[np.int64], *, clock: Clock, event: str = "imported"
) -> int:
    """Adds keys with the people that they have; keys that are known stay whose they are.

    New people of this library are numbered above all that were adopted. Somebody who has a number that the graph does
    not know, and a key that it knows as somebody else's, is one with that person from then on.

    Args:
        state: the state store.
        kind: kind of the keys; one that joins people.
        values: keys as the source writes them, or as the lake has them.
        people: ``person_id`` of each, 1 and up.
        clock: when.
        event: what explanations show as the reason.

    Returns:
        how many were new.

    Raises:
        IdentityError: the kind does not join people, or a number is none.
        SettingError: there is no such kind.
    """
    rules = load_rules(state)
    check_kind(rules, kind)
    if len(people) and int(people.min()) < 1:
        raise IdentityError("A person's number is 1 or more", number=int(people.min()))
    now = round(clock.now().timestamp() * 1e6)
    observations = Observations(
        (KeyColumn(kind, values, filed=True),), np.full(len(people), now), [event] * len(people)
    )
    with state.writing() as connection:
        take_turn(connection)
        coded = Coder(rules, project_salt(state, connection)).encode(observations)
        if not len(coded.ids):
            return 0
        known = read_known(connection, coded, rules)
        held = coded.matrix[:, 0] >= 0
        code, given = coded.matrix[held, 0], people[held]
        person = np.zeros(len(coded.ids), np.int64)
        # Backwards, so that the first of a key that stands twice is written last.
        person[code[::-1]] = given[::-1]
        new = np.flatnonzero(known.person == FRESH)
        nothing = np.zeros(len(new), np.int64)
        add_keys(
            connection,
            NewKeys(
                coded.ids[new], coded.kinds[new], coded.names, coded.values.take(pa.array(new)), person[new], nothing,
                nothing, nothing, nothing + now, pa.array([event] * len(new), pa.string()),
            ),
        )  # fmt: skip
        counting.raise_to(connection, counting.PEOPLE, int(people.max()))
        known.person[new] = known.root[new] = person[new]
        second = np.flatnonzero(known.person[code] != given)
        if len(second):
            codes = dict(zip(given[second].tolist(), code[second].tolist(), strict=True))
            _unite(connection, coded, known, codes, clock)
    return len(new)


def _unite(connection: Connection, coded: Coded, known: Known, codes: dict[int, int], clock: Clock) -> None:
    """Makes people whom the graph does not know one with the owners of their keys.

    Args:
        connection: a transaction that has the turn.
        coded: the keys.
        known: whose they are.
        codes: key of each of these people, by person.
        clock: when.
    """
    people = sorted(codes)
    told = set(keys_of_people(connection, np.array(people, np.int64), texts=0).records["person"].tolist())
    told |= {person for row in bulk.select(connection, queries.OVERRIDES_OF, people) for person in row[:2]}
    strangers = [person for person in people if person not in told]
    if not strangers:
        return
    change = Change(next_change(connection), clock.now())
    seen_us = round(change.at.timestamp() * 1e6)
    rows, met = [], set[int]()
    for person in strangers:
        code = codes[person]
        kept, lost = sorted((person, current(connection, int(known.person[code]))))
        move_people(connection, np.array([(lost, kept)], np.int64), change)
        met |= {kept, lost}
        key = int(coded.ids[code])
        # Filed under the second number: undoing something else leaves it with the key.
        rows.append((person, key, key, OUTCOMES.index("claimed"), kept, person, seen_us))
    touch(connection, change, np.array(sorted(met), np.int64))
    home, a, b, outcome, kept_by, gone, seen = np.array(rows, np.int64).T
    events = pa.array(["imported"] * len(rows), pa.string())
    add_edges(connection, NewEdges(home, a, b, outcome, kept_by, gone, seen, events), RULE)


def check_kind(rules: Rules, kind: str) -> None:
    """Raises where keys of a kind cannot say who somebody is.

    Raises:
        IdentityError: strangers may share such keys.
        SettingError: there is no such kind.
    """
    if not rules.kind(kind).merges:
        raise IdentityError(
            "Keys that strangers may share cannot say who somebody is",
            hint="Name a kind that joins people, such as login, member or phone.",
            kind=kind,
        )


def homes_of(state: State, kind: str, values: pa.Array) -> NDArray[np.int64]:
    """Returns under whom the facts of keys are to be filed, 0 where the graph does not know a key.

    Args:
        state: the state store.
        kind: of the keys.
        values: as the source writes them, or as the lake has them.

    Raises:
        SettingError: there is no such kind.
    """
    rules = load_rules(state)
    found = np.zeros(len(values), np.int64)
    with state.reading() as connection:
        salt = known_salt(connection)
        for begin in range(0, len(values) if salt else 0, _AT_ONCE):
            part = values.slice(begin, _AT_ONCE)
            moments = np.zeros(len(part), np.int64)
            column = KeyColumn(kind, part, filed=True)
            coded = Coder(rules, salt or b"").encode(Observations((column,), moments, [""] * len(part)))
            if not len(coded.ids):
                continue
            person = read_known(connection, coded, rules).person
            code = coded.matrix[:, 0]
            found[begin : begin + len(part)] = np.where((code >= 0) & (person[code] != FRESH), person[code], 0)
    return found


def adopt_imported(warehouse: Warehouse) -> int:
    """Takes over the customers whom imports brought and the graph does not know; returns how many were new.

    Costs a look at the state store where there are none.
    """
    state = warehouse.state
    since = unadopted_since(state)
    if since is None:
        return 0
    latest, rules, new = state.latest(), load_rules(state), 0
    if latest is None:
        return 0
    with warehouse.reading(latest.seq) as session:
        rows = session.run(UNADOPTED, {"since_batch": since})
    for kind in rows["kind"].unique().to_pylist():
        if not _says_who(rules, kind):
            continue
        own = rows.filter(pc.equal(rows["kind"], kind)).combine_chunks()
        values, people = own["value"].combine_chunks(), own["person_id"].to_numpy()
        for begin in range(0, len(people), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            new += adopt(state, kind, values[part], people[part], clock=warehouse.clock)
    adopted(state, since, latest.seq)
    return new


def _says_who(rules: Rules, kind: str) -> bool:
    try:
        return rules.kind(kind).merges
    except SettingError:
        # Of a kind that the rules know no more, or of somebody else's: such people are known by their files only.
        return False
