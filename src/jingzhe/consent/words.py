"""What people said: consents given and withdrawn, each with its evidence; rows are added and never changed.

The newest word counts. Words stay filed under the person who said them and are read with everybody whom the person
took over, so a withdrawal by one of several people who turned out to be one is newer than an older grant by another,
and an undone merge gives everybody their own words back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.consent import queries
from jingzhe.consent.addresses import ANY, PERSONALISATION, TRANSACTIONAL, checked_name
from jingzhe.core.errors import SettingError
from jingzhe.identity import queries as identity_queries
from jingzhe.identity.people import current
from jingzhe.store.state import State, bulk
from jingzhe.store.state.consent_tables import consent_record as table
from jingzhe.store.state.sealed import SealedText, opened

Status = Literal["granted", "withdrawn"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = tuple(column.name for column in table.columns)
_SEALED = tuple(column.name for column in table.c if isinstance(column.type, SealedText))
_AT_ONCE = 500


@dataclass(frozen=True)
class Evidence:
    """What shows that it was said.

    Args:
        text_version: version of the text that was shown.
        url: of the page.
        ip: address of the client.
        agent: user agent of the client.
    """

    text_version: str = ""
    url: str = ""
    ip: str = ""
    agent: str = ""


@dataclass(frozen=True)
class Word:
    """One thing that somebody said.

    Args:
        person_id: who.
        channel: of messages, such as ``email``; ``*`` for all, in a withdrawal.
        purpose: what for, such as ``marketing``; ``*`` for all, in a withdrawal.
        status: granted or withdrawn.
        said_at: when.
        legal_basis: what allows it, such as ``consent``, ``contract``.
        source: where it was said: a form, a shop, an event's source.
        actor: who recorded it.
        evidence: what shows it.
        address: hash of the address that it is for; None for any.
        frequency: how often, or for how long, the text said.
        policy_version: of the privacy policy.
        expires_at: from when on a grant no longer holds; None for never.
        origin: what repeats itself, such as a trait that an SDK sends again and again; empty for a word of its own.
        event_id: the event that it was heard in.
        record_id: its number; None for a new one.
        recorded_at: when it became known here; None for a new one.
    """

    person_id: int
    channel: str
    purpose: str
    status: Status
    said_at: datetime
    legal_basis: str = "consent"
    source: str = ""
    actor: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    address: str | None = None
    frequency: str = ""
    policy_version: str = ""
    expires_at: datetime | None = None
    origin: str = ""
    event_id: int | None = None
    record_id: int | None = None
    recorded_at: datetime | None = None


def micros(moment: datetime) -> int:
    """Returns a moment as UTC microseconds, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Returns the moment of so many UTC microseconds, exactly."""
    return EPOCH + timedelta(microseconds=us)


def checked(word: Word, now: datetime) -> Word:
    """Returns a word that somebody gave by hand, if it can stand.

    Raises:
        SettingError: it names no channel or purpose, was said in the future, or grants everything at once.
    """
    withdrawn = word.status == "withdrawn"
    checked_name(word.channel, "channel", any_allowed=withdrawn or word.purpose == PERSONALISATION)
    checked_name(word.purpose, "purpose", any_allowed=withdrawn)
    if word.purpose == TRANSACTIONAL:
        raise SettingError(
            "Transactional messages need no consent", hint="Suppress the address or the person.", field="purpose"
        )
    if word.said_at > now:
        raise SettingError("Nobody can have said this yet: it is in the future", field="said_at")
    if word.expires_at is not None and word.expires_at <= word.said_at:
        raise SettingError("A consent cannot end before it was given", field="expires_at")
    if not word.legal_basis.strip() or not word.source.strip():
        raise SettingError("A word needs its legal basis and its source", field="source")
    return word


def write(connection: Connection, words: Iterable[Word], now: datetime) -> int:
    """Adds words within a transaction that writes; those with a number that is there already are passed over.

    Returns:
        how many were added.
    """
    rows = {row["record_id"]: row for row in (_row(word, now) for word in words)}
    numbers, added = list(rows), 0
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        known = set(connection.scalars(sa.select(table.c.record_id).where(table.c.record_id.in_(some))))
        new = [rows[number] for number in some if number not in known]
        if new:
            connection.execute(sa.insert(table), new)
        added += len(new)
    return added


def _row(word: Word, now: datetime) -> dict[str, Any]:
    said = word.evidence
    return {
        "record_id": word.record_id or new_number(), "person_id": word.person_id, "channel": word.channel,
        "purpose": word.purpose, "status": word.status, "address": word.address, "legal_basis": word.legal_basis,
        "source": word.source, "origin": word.origin, "text_version": said.text_version, "url": said.url,
        "ip": said.ip, "agent": said.agent, "frequency": word.frequency, "policy_version": word.policy_version,
        "said_us": micros(word.said_at), "expires_us": None if word.expires_at is None else micros(word.expires_at),
        "recorded_us": micros(now), "actor": word.actor, "event_id": word.event_id,
    }  # fmt: skip


def new_number() -> int:
    """Returns a number for a row that has none of its own: 62 random bits."""
    return secrets.randbits(62) + 1


def everybody_of(connection: Connection, person: int) -> list[int]:
    """Returns who a person is now, and behind them everybody whom they took over."""
    now = current(connection, person)
    return [now, *(int(row[0]) for row in bulk.select(connection, identity_queries.MEMBERS, [now]))]


def words_of(state: State, person: int, *, at: datetime | None = None) -> list[Word]:
    """Returns what a person said, everybody whom they took over included, the oldest first.

    Args:
        state: the state store.
        person: their number, now or before a merge.
        at: what was said and known by then; None: all.
    """
    with state.reading() as connection:
        found = said_by(connection, everybody_of(connection, person))
    return [word for word in found if at is None or (word.said_at <= at and (word.recorded_at or at) <= at)]


def said_by(connection: Connection, people: Sequence[int]) -> list[Word]:
    """Returns what people said, as they are filed, the oldest first."""
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in bulk.select(connection, queries.WORDS, people)]
    # The statement is text, so what its columns are is not known to it.
    return [_word(row | {name: opened(connection, table.c[name], row[name]) for name in _SEALED}) for row in rows]


def _word(row: dict[str, Any]) -> Word:
    return Word(
        row["person_id"], row["channel"], row["purpose"], row["status"], moment(row["said_us"]), row["legal_basis"],
        row["source"], row["actor"], Evidence(row["text_version"], row["url"], row["ip"], row["agent"]),
        row["address"], row["frequency"], row["policy_version"],
        None if row["expires_us"] is None else moment(row["expires_us"]), row["origin"], row["event_id"],
        row["record_id"], moment(row["recorded_us"]),
    )  # fmt: skip


def pairs_of(words: Iterable[Word]) -> list[tuple[str, str]]:
    """Returns the channels and purposes that words name, each pair once, those that mean all left out."""
    named = {(word.channel, word.purpose) for word in words}
    return sorted((channel, purpose) for channel, purpose in named if ANY not in {channel, purpose})
