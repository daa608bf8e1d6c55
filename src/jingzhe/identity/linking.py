"""Proposals for records without a common key, by splink; nothing is applied before somebody accepts it.

splink fits the Fellegi-Sunter model (1969) by expectation maximisation: how much each agreement and disagreement of two
records says, learned from the records themselves. It runs on its own DuckDB in memory and needs no network. It is an
extra (``pip install jingzhe[link]``).
"""

from __future__ import annotations

import hashlib
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError, SettingError
from jingzhe.identity.deciding import Also, By, Decision, check_reason
from jingzhe.identity.merges import merge_within
from jingzhe.identity.observations import KeyColumn, Observations
from jingzhe.identity.people import current
from jingzhe.identity.resolving import resolve, take_turn
from jingzhe.identity.rules import load_rules
from jingzhe.store.state import State
from jingzhe.store.state.identity_tables import identity_proposal as proposals

RECORD = "record"
"""The kind of key of a line in a list that has no key of its own."""
COMPARISONS: Mapping[str, str] = {
    "name": "NameComparison",
    "birthday": "DateOfBirthComparison",
    "email": "EmailComparison",
    "phone": "ExactMatch",
    "place": "ExactMatch",
}
"""What a column may be, and how splink compares such columns; a birthday is written YYYY-MM-DD."""
_TELLING = ("name", "birthday", "email", "phone")
"""Two records are compared where one such column is equal."""
_SAMPLED_PAIRS = 1_000_000
_SEED = 1


@dataclass(frozen=True)
class Proposal:
    """Two people who may be one.

    Args:
        person_a: the older, as it was when proposed.
        person_b: the other.
        probability: that they are one, by the model.
        evidence: the two records, by column.
        status: proposed, accepted, rejected.
        proposed_at: when.
        who: who decided; None where nobody has.
        why: the reason given.
        decided_at: when.
    """

    person_a: int
    person_b: int
    probability: float
    evidence: dict[str, Any]
    status: str
    proposed_at: datetime
    who: str | None = None
    why: str | None = None
    decided_at: datetime | None = None


def match(records: pa.Table, columns: Mapping[str, str], *, threshold: float = 0.5) -> pa.Table:
    """Returns pairs of records that may be of one person.

    Args:
        records: one row a record.
        columns: what to compare: by name of the column what it is, one of :data:`COMPARISONS`.
        threshold: least probability of a pair.

    Returns:
        ``a`` and ``b`` (row numbers, the first being 0) and ``probability``, the surest first.

    Raises:
        SettingError: a column is not there or of no known sort, fewer than two can be compared, or splink is missing.
    """
    _check(records, columns)
    splink, library, backend = (_imported(name) for name in ("splink", "comparison_library", "backends.duckdb"))
    texts = {name: pc.cast(records[name], pa.string()) for name in columns}
    data = pa.table({"unique_id": pa.array(range(records.num_rows), pa.int64()), **texts})
    telling = [name for name, sort in columns.items() if sort in _TELLING]
    settings = splink.SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(library, name, sort) for name, sort in columns.items()],
        blocking_rules_to_generate_predictions=[splink.block_on(name) for name in telling],
    )
    logging.getLogger("splink").setLevel(logging.ERROR)
    linker = splink.Linker(backend.DuckDBAPI(":memory:").register(data), settings, log_level=logging.ERROR)
    training = linker.training
    training.estimate_probability_two_random_records_match(_certain(splink, columns), recall=0.7)
    training.estimate_u_using_random_sampling(max_pairs=_SAMPLED_PAIRS, seed=_SEED)
    for rule in _training_rules(splink, columns):
        training.estimate_parameters_using_expectation_maximisation(rule)
    found = linker.inference.predict(threshold_match_probability=threshold).as_pyarrow_table()
    pairs = found.select(["unique_id_l", "unique_id_r", "match_probability"]).rename_columns(["a", "b", "probability"])
    return pairs.sort_by([("probability", "descending"), ("a", "ascending"), ("b", "ascending")])


def propose(
    state: State,
    records: pa.Table,
    columns: Mapping[str, str],
    *,
    source: str,
    clock: Clock,
    keys: Mapping[str, str] | None = None,
    threshold: float = 0.5,
) -> list[Proposal]:
    """Proposes which people of a list are one, and keeps the proposals until somebody decides.

    Args:
        state: the state store.
        records: one row a record.
        columns: what to compare; see :func:`match`.
        source: name of the list; its lines are known by it and their number, so bring the same list again as it was.
        clock: when.
        keys: columns that hold keys, by name of the column the kind; records with a key are of that person.
        threshold: least probability of a proposal.

    Returns:
        what was proposed and is not decided, the surest first.

    Raises:
        SettingError: see :func:`match`.
        IdentityError: the list was brought before with other keys.
    """
    pairs = match(records, columns, threshold=threshold)
    everything = np.arange(records.num_rows)
    return keep(state, records, columns, pairs, everything, source=source, clock=clock, keys=keys)


def keep(
    state: State,
    records: pa.Table,
    columns: Mapping[str, str],
    pairs: pa.Table,
    places: NDArray[np.int64],
    *,
    source: str,
    clock: Clock,
    keys: Mapping[str, str] | None = None,
) -> list[Proposal]:
    """Keeps pairs as proposals, as :func:`propose` does.

    Args:
        state: the state store.
        records: the whole list.
        columns: what was compared.
        pairs: what :func:`match` found among the records at ``places``.
        places: rows of the list that count; the others are passed over, such as those of people who were erased.
        source: name of the list.
        clock: when.
        keys: columns that hold keys.

    Returns:
        what was proposed and is not decided, the surest first.

    Raises:
        IdentityError: the list was brought before with other keys.
    """
    now = clock.now()
    lines = [f"{source}:{line + 1}" for line in places.tolist()]
    batch_id = f"link {source}"
    if len(places) < records.num_rows:
        # Brought again after somebody was erased, it is another list.
        batch_id += f" of {hashlib.blake2b(places.tobytes(), digest_size=8).hexdigest()}"
    records = records.take(pa.array(places))
    given = [KeyColumn(kind, pc.cast(records[name], pa.string()).to_pylist()) for name, kind in (keys or {}).items()]
    micros = _same(round(now.timestamp() * 1e6), len(lines))
    seen = Observations((*given, KeyColumn(RECORD, lines)), micros, lines)
    people = resolve(state, seen, batch_id=batch_id, clock=clock, rule="same line").people.tolist()
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for a, b, probability in zip(*(pairs[name].to_pylist() for name in pairs.column_names), strict=True):
        two = min(people[a], people[b]), max(people[a], people[b])
        if two[0] != two[1] and two not in best:
            best[two] = probability, a, b
    with state.writing() as connection:
        for (person_a, person_b), (probability, a, b) in best.items():
            if connection.execute(sa.select(proposals.c.status).where(_is(person_a, person_b))).first():
                continue
            evidence = {name: [_text(records[name][a]), _text(records[name][b])] for name in columns}
            row = Proposal(person_a, person_b, probability, evidence, "proposed", now)
            connection.execute(
                sa.insert(proposals).values(
                    person_a=row.person_a, person_b=row.person_b, probability=row.probability, evidence=row.evidence,
                    proposed_at=row.proposed_at, status=row.status,
                )
            )  # fmt: skip
    return listed(state)


def listed(state: State, *, status: str = "proposed") -> list[Proposal]:
    """Returns the proposals of a status, the surest first."""
    wanted = (
        sa.select(proposals)
        .where(proposals.c.status == status)
        .order_by(proposals.c.probability.desc(), proposals.c.person_a, proposals.c.person_b)
    )
    with state.reading() as connection:
        return [
            Proposal(
                row.person_a, row.person_b, row.probability, row.evidence, row.status, row.proposed_at,
                row.who, row.why, row.decided_at,
            )
            for row in connection.execute(wanted)
        ]  # fmt: skip


def accept(state: State, person_a: int, person_b: int, by: By, *, clock: Clock, also: Also | None = None) -> int:
    """Makes two people of a proposal one; returns who stands for both.

    They may have become one meanwhile, by other proposals or by evidence: then only the decision is noted.

    Raises:
        IdentityError: there is no such proposal, it was decided, or the two are kept apart by hand.
    """
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        at = clock.now()
        _decide(connection, (person_a, person_b), "accepted", by, at, also=also)
        one, other = current(connection, person_a), current(connection, person_b)
        if one == other:
            return one
        return merge_within(connection, rules, (one, other), by, at=at, rule="accepted match", also=also)


def reject(state: State, person_a: int, person_b: int, by: By, *, clock: Clock, also: Also | None = None) -> None:
    """Says that a proposal is wrong; it is not made again.

    Raises:
        IdentityError: there is no such proposal, or it was decided.
    """
    with state.writing() as connection:
        take_turn(connection)
        _decide(connection, (person_a, person_b), "rejected", by, clock.now(), also=also)


def _decide(
    connection: Connection, people: tuple[int, int], status: str, by: By, at: datetime, *, also: Also | None
) -> None:
    check_reason(by, status)
    is_this = _is(min(people), max(people))
    found = connection.scalar(sa.select(proposals.c.status).where(is_this))
    if found != "proposed":
        raise IdentityError(
            "There is no such proposal" if found is None else f"This proposal was {found} before",
            hint="List those that wait for a decision: jingzhe link list",
            people=people,
        )
    decided = {"status": status, "decided_at": at, "who": by.who, "why": by.why}
    connection.execute(sa.update(proposals).where(is_this).values(decided))
    if also is not None:
        also(connection, Decision(0, at, by.who, f"link {status}", by.why, {"people": sorted(people)}))


def _is(person_a: int, person_b: int) -> sa.ColumnElement[bool]:
    return (proposals.c.person_a == person_a) & (proposals.c.person_b == person_b)


def _check(records: pa.Table, columns: Mapping[str, str]) -> None:
    for name, sort in columns.items():
        if name not in records.column_names:
            raise SettingError(f"There is no column {name!r}", hint=f"There are: {', '.join(records.column_names)}.")
        if sort not in COMPARISONS:
            raise SettingError(f"{sort!r} is no sort of column", hint=f"Use one of: {', '.join(COMPARISONS)}.")
    if len([name for name, sort in columns.items() if sort in _TELLING]) < 2:
        raise SettingError(
            "Too little to compare", hint=f"Name at least two columns of these sorts: {', '.join(_TELLING)}."
        )


def _imported(name: str) -> Any:
    """Returns a module of splink, which is an extra and slow to load."""
    try:
        return importlib.import_module("splink" if name == "splink" else f"splink.{name}")
    except ImportError as error:
        raise SettingError("Linking needs splink", hint="Install it: pip install 'jingzhe[link]'") from error


def _comparison(library: Any, name: str, sort: str) -> Any:
    kind = getattr(library, COMPARISONS[sort])
    if sort == "birthday":
        return kind(name, input_is_string=True)
    # Two people of one small town are likelier one than two of a large one.
    return kind(name).configure(term_frequency_adjustments=True) if sort == "place" else kind(name)


def _certain(splink: Any, columns: Mapping[str, str]) -> list[Any]:
    """Returns rules under which two records are surely of one person, for the share of matches among all pairs."""
    personal = [name for name, sort in columns.items() if sort in {"name", "birthday"}]
    alone = [name for name, sort in columns.items() if sort in {"email", "phone"}]
    return [*([splink.block_on(*personal)] if len(personal) > 1 else []), *(splink.block_on(name) for name in alone)]


def _training_rules(splink: Any, columns: Mapping[str, str]) -> list[Any]:
    """Returns rules for the rounds of training: a round learns nothing about the columns that it is restricted to."""
    names = [name for name, sort in columns.items() if sort == "name"]
    others = [name for name, sort in columns.items() if sort in {"birthday", "email", "phone"}]
    return [*([splink.block_on(*names)] if names else []), *(splink.block_on(name) for name in others)]


def _same(micros: int, rows: int) -> Any:
    return pa.repeat(micros, rows).to_numpy()


def _text(cell: pa.Scalar) -> str | None:
    value = cell.as_py()
    return None if value is None else str(value)
