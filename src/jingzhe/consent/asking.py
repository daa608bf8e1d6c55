"""May this be sent? One statement over the tables answers for one person or for millions; without a yes it is no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.consent import queries
from jingzhe.consent.addresses import ANY, KEY_OF, PERSONALISATION, TRANSACTIONAL, checked_name
from jingzhe.consent.words import micros
from jingzhe.core.text import Text
from jingzhe.identity.keyring import show_keys
from jingzhe.store.state import State, bulk

REASONS: dict[str, Text] = {
    "granted": Text("a live consent for this channel and purpose", "该渠道与用途的同意有效"),
    "transactional": Text("somebody waits for it; it needs no consent", "事务性消息,无需同意"),
    "no-consent": Text("nobody ever consented to this", "从未同意"),
    "withdrawn": Text("the consent was withdrawn", "同意已撤回"),
    "expired": Text("the consent has expired", "同意已过期"),
    "suppressed-erased": Text("the person was erased", "客户数据已删除"),
    "suppressed-complaint": Text("suppressed: a complaint", "已屏蔽:投诉"),
    "suppressed-unsubscribed": Text("suppressed: unsubscribed", "已屏蔽:退订"),
    "suppressed-hard-bounce": Text("suppressed: the address does not exist", "已屏蔽:地址无效"),
    "suppressed-by-hand": Text("suppressed by hand", "已屏蔽:人工"),
    "suppressed-soft-bounce": Text("suppressed for a while: it did not get through", "暂时屏蔽:投递失败"),
}
"""Words for every reason of an answer."""
_STOPPED = (
    "suppressed-erased", "suppressed-complaint", "suppressed-unsubscribed", "suppressed-hard-bounce",
    "suppressed-by-hand", "suppressed-soft-bounce",
)  # fmt: skip
"""By the rank that the statement gives."""

_asked = sa.Table(
    "asked_consents",
    sa.MetaData(),
    sa.Column("n", sa.BigInteger),
    sa.Column("person_id", sa.BigInteger),
    sa.Column("channel", sa.Text),
    sa.Column("purpose", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("transactional", sa.BigInteger),
)
_NAMES = tuple(column.name for column in _asked.columns)


@dataclass(frozen=True)
class Verdict:
    """Whether something may be sent.

    Args:
        allowed: the answer.
        reason: why; one of :data:`REASONS`.
    """

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Question:
    """What one wants to know.

    Args:
        person_id: of whom; who they are now is found.
        channel: on which channel.
        purpose: what for; ``transactional`` is its own class.
        address: hash of the address that would be used; None: every address that is known of the person counts, and
            one that is suppressed stops all.
    """

    person_id: int
    channel: str
    purpose: str
    address: str | None = None


def may(
    state: State, person_id: int, channel: str, purpose: str, *, at: datetime, address: str | None = None
) -> Verdict:
    """Says whether something may be sent to a person.

    Args:
        state: the state store.
        person_id: their number, now or before a merge.
        channel: such as ``email``.
        purpose: such as ``marketing``; ``transactional`` needs no consent.
        at: the moment; only what was said and known by then counts.
        address: hash of the address, as :func:`jingzhe.consent.addresses.hash_of` gives it.

    Raises:
        SettingError: there can be no such channel or purpose.
    """
    return answers(state, [Question(person_id, channel, purpose, address)], at=at)[0]


def may_all(
    state: State,
    people: pa.Array | pa.ChunkedArray,
    channel: str,
    purpose: str,
    *,
    at: datetime,
    addresses: Sequence[str | None] | None = None,
) -> pa.Table:
    """Says for many people at once whether something may be sent, in one statement.

    Args:
        state: the state store.
        people: ``person_id`` of each.
        channel: such as ``email``.
        purpose: such as ``marketing``.
        at: the moment.
        addresses: hash of each address; None: every address that is known of a person counts.

    Returns:
        ``person_id``, ``allowed`` and ``reason``, in the order of ``people``.

    Raises:
        SettingError: there can be no such channel or purpose.
    """
    numbers = people.to_pylist()
    where = addresses if addresses is not None else [None] * len(numbers)
    checked_name(channel, "channel")
    checked_name(purpose, "purpose")
    kind, transactional = KEY_OF.get(channel, ""), int(purpose == TRANSACTIONAL)
    rows = (
        (place, person, channel, purpose, kind, address, transactional)
        for place, (person, address) in enumerate(zip(numbers, where, strict=True))
    )
    with state.reading() as connection:
        found = _answers(connection, rows, at)
    return pa.table({
        "person_id": pa.array(numbers, pa.int64()),
        "allowed": pa.array([one.allowed for one in found], pa.bool_()),
        "reason": pa.array([one.reason for one in found], pa.string()),
    })  # fmt: skip


def answers(state: State, questions: Sequence[Question], *, at: datetime) -> list[Verdict]:
    """Answers questions of any people, channels and purposes together.

    Raises:
        SettingError: there can be no such channel or purpose.
    """
    rows = []
    for place, one in enumerate(questions):
        checked_name(one.channel, "channel", any_allowed=one.purpose == PERSONALISATION)
        checked_name(one.purpose, "purpose")
        kind, transactional = KEY_OF.get(one.channel, ""), int(one.purpose == TRANSACTIONAL)
        rows.append((place, one.person_id, one.channel, one.purpose, kind, one.address, transactional))
    if not rows:
        return []
    with state.reading() as connection:
        return _answers(connection, rows, at)


def may_personalise(state: State, person_id: int, *, at: datetime) -> bool:
    """Tells whether automated decisions may be made about a person: until they refuse (PIPL article 24).

    Args:
        state: the state store.
        person_id: their number.
        at: the moment.
    """
    with state.reading() as connection:
        (_, _, rank, status, _) = _rows(connection, [(0, person_id, ANY, PERSONALISATION, "", None, 0)], at)[0]
    # That nothing may be sent to somebody says nothing about decisions; that they were erased does.
    return rank != 0 and status != "withdrawn"


def _answers(connection: Connection, rows: Iterable[tuple[object, ...]], at: datetime) -> list[Verdict]:
    return [_verdict(rank, status, expired, mark) for _, mark, rank, status, expired in _rows(connection, rows, at)]


def _rows(
    connection: Connection, rows: Iterable[tuple[object, ...]], at: datetime
) -> list[tuple[int, int, int | None, str | None, int]]:
    """Asks the statement; one row a question, in their order."""
    declared = ", ".join(
        f"{column.name} {'BIGINT' if isinstance(column.type, sa.BigInteger) else 'TEXT'}" for column in _asked.columns
    )
    dropped = " ON COMMIT DROP" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_asked.name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_asked.name} ({declared}){dropped}")
    asked = list(rows)
    bulk.insert(connection, _asked, _NAMES, asked)
    show_keys(connection, connection.execute(sa.text(queries.WHOSE_KEYS)).scalars().all())
    found = connection.execute(sa.text(queries.VERDICTS), {"at_us": micros(at)})
    return [(row.n, row.transactional, row.rank, row.status, row.expired) for row in found]


def _verdict(rank: int | None, status: str | None, expired: int, transactional: int) -> Verdict:
    if rank is not None:
        return Verdict(False, _STOPPED[rank])
    if transactional:
        return Verdict(True, "transactional")
    if status is None:
        return Verdict(False, "no-consent")
    if status != "granted":
        return Verdict(False, "withdrawn")
    return Verdict(False, "expired") if expired else Verdict(True, "granted")
