"""What people allowed, and to whom nothing is sent."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.permissions import (
    CONSENTS_READ,
    CONSENTS_WRITE,
    SUPPRESSIONS_LIFT,
    SUPPRESSIONS_READ,
    SUPPRESSIONS_WRITE,
)
from jingzhe.consent import asking, suppressions, words
from jingzhe.consent.addresses import ANY, PERSONALISATION, hash_of
from jingzhe.consent.asking import Question
from jingzhe.consent.suppressions import COVERS, Suppression
from jingzhe.consent.words import Evidence, Word
from jingzhe.core.errors import NoDataError
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Moment, Page, PersonId, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("consents")
_LIST = "suppressions"
Channel = Annotated[str, Query(min_length=1, max_length=64, examples=["email"])]
Purpose = Annotated[str, Query(min_length=1, max_length=64, examples=["marketing"])]
SuppressionId = Annotated[int, Path(ge=1, lt=2**63, description="number of the suppression", examples=[4611686018427])]
Reason = Literal["complaint", "hard_bounce", "soft_bounce", "unsubscribed", "erased", "by_hand"]


class EvidenceShown(Shown):
    """What shows that it was said."""

    text_version: str = ""
    url: str = ""
    ip: str = ""
    agent: str = ""


class WordShown(Shown):
    """One thing that a person said; rows are never changed."""

    record_id: str
    person_id: int = Field(description="under whom it is filed; a merge does not change it")
    channel: str
    purpose: str
    status: Literal["granted", "withdrawn"]
    granted_at: datetime | None = Field(default=None, description="when it was given; null for a withdrawal")
    withdrawn_at: datetime | None = Field(default=None, description="when it was withdrawn; null for a grant")
    expires_at: datetime | None = None
    recorded_at: datetime = Field(description="when it became known here")
    address: str | None = Field(default=None, description="keyed hash of the address that it is for; null for any")
    legal_basis: str
    source: str
    evidence: EvidenceShown
    frequency: str = Field(description="how often, or for how long, the text said")
    policy_version: str
    actor: str
    event_id: str | None = Field(default=None, description="the event that it was heard in")


class Standing(Shown):
    """Whether something may be sent, and why."""

    channel: str
    purpose: str
    allowed: bool
    reason: str
    en: str = Field(description="the reason, in words")
    zh: str


class ConsentsShown(Shown):
    """What a person said, and what follows from it."""

    at: datetime
    personalisation: bool = Field(description="false: no automated decisions about them (PIPL art. 24)")
    standing: list[Standing] = Field(description="of every channel and purpose that was ever named")
    records: list[WordShown]


class EvidenceGiven(Given):
    """What shows that it was said."""

    text_version: str = Field(default="", max_length=200, examples=["2026-02"])
    url: str = Field(default="", max_length=2000)
    ip: str = Field(default="", max_length=100)
    agent: str = Field(default="", max_length=1000)


class Grant(Given):
    """A consent that somebody gave."""

    channel: str = Field(max_length=64, examples=["email"])
    purpose: str = Field(default="marketing", max_length=64, examples=["marketing"])
    source: str = Field(max_length=200, examples=["sign-up form"])
    legal_basis: str = Field(default="consent", max_length=100, examples=["consent"])
    said_at: Moment | None = Field(default=None, description="when; null for now")
    expires_at: Moment | None = None
    address: str | None = Field(
        default=None, max_length=500, description="the address it is for, kept as a hash; null for any"
    )
    frequency: str = Field(default="", max_length=200)
    policy_version: str = Field(default="", max_length=200)
    evidence: EvidenceGiven = Field(default_factory=EvidenceGiven)


class Withdrawal(Given):
    """A consent that somebody took back; ``*`` for every channel, every purpose."""

    channel: str = Field(default="*", max_length=64, examples=["email"])
    purpose: str = Field(default="*", max_length=64, examples=["marketing"])
    source: str = Field(max_length=200, examples=["telephone call"])
    said_at: Moment | None = Field(default=None, description="when; null for now")
    evidence: EvidenceGiven = Field(default_factory=EvidenceGiven)


class PersonalisationGiven(Given):
    """Whether automated decisions may be made about somebody."""

    allowed: bool = Field(examples=[False])
    source: str = Field(max_length=200, examples=["letter of 5 March"])


class SuppressionShown(Shown):
    """An address or a person to whom nothing goes."""

    suppression_id: str
    address: str | None = Field(default=None, description="keyed hash of the address; null where it stops a person")
    person_id: int | None = None
    channel: str
    topic: str
    covers: Literal["all", "marketing"] = Field(description="all: transactional messages too")
    reason: Reason
    source: str
    actor: str
    begun_at: datetime
    expires_at: datetime | None = None
    holds: bool = Field(description="whether it stops anything now")
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lifted_why: str | None = None


class NewSuppression(Given):
    """An address or a person to whom nothing is to go."""

    address: str | None = Field(
        default=None, max_length=500, description="as written; kept as a hash", examples=["li@example.com"]
    )
    person_id: int | None = Field(default=None, ge=1, lt=2**63)
    channel: str = Field(default="*", max_length=64, examples=["email"])
    topic: str = Field(default="*", max_length=64)
    reason: Literal["complaint", "hard_bounce", "soft_bounce", "unsubscribed", "by_hand"] = "by_hand"
    source: str = Field(max_length=200, examples=["telephone call"])
    expires_at: Moment | None = None


class AddressGiven(Given):
    """An address to look up; in a body, because paths stand in logs."""

    channel: str = Field(max_length=64, examples=["email"])
    address: str = Field(max_length=500, examples=["li@example.com"])


class Lifting(Given):
    """Why a suppression is lifted."""

    why: str = Field(min_length=1, max_length=1000, examples=["mailbox works again, confirmed by telephone"])


_WORD: dict[str, Any] = {
    "record_id": "3458764513820540928", "person_id": 17, "channel": "email", "purpose": "marketing",
    "status": "granted",
    "granted_at": "2026-03-05T08:00:00Z", "withdrawn_at": None, "expires_at": None,
    "recorded_at": "2026-03-05T08:00:00Z", "address": None, "legal_basis": "consent", "source": "sign-up form",
    "evidence": {"text_version": "2026-02", "url": "https://shop.example/join", "ip": "", "agent": ""},
    "frequency": "weekly", "policy_version": "2026-01", "actor": "account:acc_7hq2mkw4x9ab", "event_id": None,
}  # fmt: skip
_STANDING = {
    "channel": "email", "purpose": "marketing", "allowed": True, "reason": "granted",
    "en": "a live consent for this channel and purpose", "zh": "该渠道与用途的同意有效",
}  # fmt: skip
_CONSENTS = {"at": "2026-03-05T08:00:00Z", "personalisation": True, "standing": [_STANDING], "records": [_WORD]}
_SUPPRESSION: dict[str, Any] = {
    "suppression_id": "4611686018427", "address": "9f86d081884c7d659a2feaa0c55ad015", "person_id": None,
    "channel": "email", "topic": "*", "covers": "all", "reason": "hard_bounce", "source": "mail server",
    "actor": "events", "begun_at": "2026-03-05T08:00:00Z", "expires_at": None, "holds": True, "lifted_at": None,
    "lifted_by": None, "lifted_why": None,
}  # fmt: skip


def consents_of(served: Served, person_id: int, at: datetime | None = None) -> ConsentsShown:
    """Returns what a person said, and what followed from it at a moment (None: now)."""
    moment = at or served.now()
    said = words.words_of(served.state, person_id, at=moment)
    pairs = words.pairs_of(said)
    found = asking.answers(served.state, [Question(person_id, *pair) for pair in pairs], at=moment)
    return ConsentsShown(
        at=moment,
        personalisation=asking.may_personalise(served.state, person_id, at=moment),
        standing=[_standing(*pair, one) for pair, one in zip(pairs, found, strict=True)],
        records=[_word(one) for one in said],
    )


def suppressions_of(served: Served, person_id: int) -> list[SuppressionShown]:
    """Returns what stops a person, or an address that is known of them."""
    now = served.now()
    return [_suppression(one, now) for one in suppressions.suppressions_of(served.state, person_id)]


@routes.add("GET", "/people/{person_id}/consents", needs=CONSENTS_READ, example=_CONSENTS)
def list_consents(
    person_id: PersonId,
    served: Served,
    at: Annotated[Moment | None, Query(description="an earlier moment: what was said and known by then")] = None,
) -> ConsentsShown:
    """Lists what a person said, the oldest first, with what may be sent to them; also as of an earlier moment."""
    _check_there(served, person_id)
    return consents_of(served, person_id, at)


@routes.add("POST", "/people/{person_id}/consents", needs=CONSENTS_WRITE, status=201, example=_WORD)
def grant(person_id: PersonId, given: Grant, caller: Caller, served: Served) -> WordShown:
    """Records a consent. A suppression that stands goes on: it is lifted by itself, with a reason."""
    address = None if given.address is None else hash_of(served.state, given.channel, given.address)
    word = Word(
        person_id, given.channel, given.purpose, "granted", given.said_at or served.now(), given.legal_basis,
        given.source, caller.label, Evidence(**given.evidence.model_dump()), address, given.frequency,
        given.policy_version, given.expires_at,
    )  # fmt: skip
    return _record(served, caller, word, "consent.granted")


@routes.add(
    "POST", "/people/{person_id}/consents/withdrawals", needs=CONSENTS_WRITE, status=201,
    example={**_WORD, "status": "withdrawn", "granted_at": None, "withdrawn_at": "2026-03-05T08:00:00Z"},
)  # fmt: skip
def withdraw(person_id: PersonId, given: Withdrawal, caller: Caller, served: Served) -> WordShown:
    """Records that a consent was withdrawn: at once, for everybody who was merged into the person."""
    word = Word(
        person_id, given.channel, given.purpose, "withdrawn", given.said_at or served.now(), source=given.source,
        actor=caller.label, evidence=Evidence(**given.evidence.model_dump()),
    )  # fmt: skip
    return _record(served, caller, word, "consent.withdrawn")


@routes.add("GET", "/people/{person_id}/consents/check", needs=CONSENTS_READ, example=_STANDING)
def check(
    person_id: PersonId,
    served: Served,
    channel: Channel,
    purpose: Purpose,
    at: Annotated[Moment | None, Query(description="an earlier moment; null for now")] = None,
) -> Standing:
    """Says whether something may be sent to a person, and why; without a consent the answer is no."""
    _check_there(served, person_id)
    found = asking.may(served.state, person_id, channel, purpose, at=at or served.now())
    return _standing(channel, purpose, found)


@routes.add("POST", "/people/{person_id}/personalisation", needs=CONSENTS_WRITE, example={**_CONSENTS, "records": []})
def personalise(person_id: PersonId, given: PersonalisationGiven, caller: Caller, served: Served) -> ConsentsShown:
    """Records that a person refuses automated decisions, or allows them again (PIPL art. 24)."""
    status: Literal["granted", "withdrawn"] = "granted" if given.allowed else "withdrawn"
    word = Word(person_id, ANY, PERSONALISATION, status, served.now(), source=given.source, actor=caller.label)
    _record(served, caller, word, f"personalisation.{status}")
    return consents_of(served, person_id)


@routes.add("GET", "/suppressions", needs=SUPPRESSIONS_READ, example={"items": [_SUPPRESSION], "next_cursor": None})
def list_suppressions(
    served: Served, limit: Limit = 50, cursor: Cursor = None, reason: Reason | None = None
) -> Page[SuppressionShown]:
    """Lists suppressions, lifted ones too; addresses are shown as their hash."""
    after = key_of(_LIST, cursor, int)[0] if cursor else 0
    found = suppressions.listed(served.state, reason=reason, after=after, limit=limit + 1)
    shown, following = page(_LIST, found, limit, lambda one: (one.suppression_id,))
    return Page(items=[_suppression(one, served.now()) for one in shown], next_cursor=following)


@routes.add("POST", "/suppressions", needs=SUPPRESSIONS_WRITE, status=201, example=_SUPPRESSION)
def suppress(given: NewSuppression, caller: Caller, served: Served) -> SuppressionShown:
    """Suppresses an address or a person, from now on."""
    now = served.now()
    if given.person_id is not None:
        _check_there(served, given.person_id)
    address = None if given.address is None else hash_of(served.state, given.channel, given.address)
    one = suppressions.checked(
        Suppression(
            given.reason, now, address, given.person_id, given.channel, given.topic, COVERS[given.reason],
            given.source, caller.label, given.expires_at,
        )
    )  # fmt: skip
    with served.state.writing() as connection:
        made = suppressions.add(connection, one, now)
        subject = f"person:{given.person_id}" if given.person_id else ""
        details = {"suppression": str(made.suppression_id), "reason": given.reason}
        audit.record(connection, now, caller, "suppression.added", subject, details=details)
    return _suppression(made, now)


@routes.add("POST", "/suppressions/check", needs=SUPPRESSIONS_READ, example={"items": [_SUPPRESSION]})
def check_address(given: AddressGiven, served: Served) -> Page[SuppressionShown]:
    """Lists what stands against an address."""
    hashed = hash_of(served.state, given.channel, given.address)
    found = suppressions.listed(served.state, address=hashed)
    about = [one for one in found if one.channel in {given.channel, ANY}]
    return Page(items=[_suppression(one, served.now()) for one in about])


@routes.add(
    "POST", "/suppressions/{suppression_id}/lift", needs=SUPPRESSIONS_LIFT,
    example={**_SUPPRESSION, "holds": False, "lifted_at": "2026-03-07T08:00:00Z", "lifted_by": "account:acc_7",
             "lifted_why": "mailbox works again"},
)  # fmt: skip
def lift(suppression_id: SuppressionId, given: Lifting, caller: Caller, served: Served) -> SuppressionShown:
    """Lifts a suppression; it stays in the list with who did it and why."""
    now = served.now()
    with served.state.writing() as connection:
        made = suppressions.lift(connection, suppression_id, by=caller.label, why=given.why, now=now)
        details = {"suppression": str(suppression_id)}
        audit.record(connection, now, caller, "suppression.lifted", "", details=details)
    return _suppression(made, now)


def _record(served: Served, caller: Caller, word: Word, action: str) -> WordShown:
    now = served.now()
    words.checked(word, now)
    _check_there(served, word.person_id)
    made = replace(word, record_id=words.new_number(), recorded_at=now)
    with served.state.writing() as connection:
        words.write(connection, [made], now)
        details = {"channel": word.channel, "purpose": word.purpose, "record": str(made.record_id)}
        audit.record(connection, now, caller, action, f"person:{word.person_id}", details=details)
    return _word(made)


def _check_there(served: Served, person_id: int) -> None:
    if not served.people.exists(person_id):
        raise NoDataError("There is no such person", hint="Look them up: POST /api/v1/people/find")


def _word(one: Word) -> WordShown:
    granted = one.status == "granted"
    known = {**asdict(one), "record_id": str(one.record_id), "evidence": EvidenceShown(**asdict(one.evidence))}
    known["event_id"] = None if one.event_id is None else str(one.event_id)
    known["granted_at"], known["withdrawn_at"] = (one.said_at, None) if granted else (None, one.said_at)
    return WordShown(**{name: value for name, value in known.items() if name in WordShown.model_fields})


def _standing(channel: str, purpose: str, found: asking.Verdict) -> Standing:
    said = asking.REASONS[found.reason]
    return Standing(channel=channel, purpose=purpose, **asdict(found), en=said.en, zh=said.zh)


def _suppression(one: Suppression, now: datetime) -> SuppressionShown:
    known = {**asdict(one), "suppression_id": str(one.suppression_id), "holds": one.holds(now)}
    return SuppressionShown(**{name: value for name, value in known.items() if name in SuppressionShown.model_fields})
