"""Words out of live events: who unsubscribed, complained, could not be reached, and fields that say yes or no.

Everything is derived from the event and numbered by it, so a drain that is killed and done again writes the same rows.

SDKs send the fields of a person again and again, also long after the person said no elsewhere. So a yes counts only
where the same field of the same source did not say yes before; a no always counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.calls import Named, Normalised
from jingzhe.consent import suppressions
from jingzhe.consent.addresses import ANY, KEY_OF, PERSONALISATION, checked_name
from jingzhe.consent.suppressions import Suppression
from jingzhe.consent.tombstones import stored_as
from jingzhe.consent.traits import STRUCTURED, Field, truth
from jingzhe.consent.words import Evidence, Word, everybody_of, moment, said_by, write
from jingzhe.core.errors import SettingError
from jingzhe.identity.rules import Rules

SOFT_DAYS = 3
"""How long an address that could not be reached for the moment is left alone."""
ACTOR = "events"
_MESSAGES = frozenset({"message_unsubscribed", "message_complained", "message_bounced"})
_SETS = frozenset({"profile_set", "profile_set_once", "profile_unset"})
_SOFT = frozenset({"soft", "transient", "temporary", "softbounce", "soft_bounce", "deferred", "blocked"})
_ADDRESSES = {"email": ("email", "email_address", "recipient", "to", "address"), "sms": ("phone", "mobile", "to")}


@dataclass
class Heard:
    """What a drain heard.

    Args:
        words: what people said, in order.
        stops: suppressions.
    """

    words: list[Word] = field(default_factory=list)
    stops: list[Suppression] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.words or self.stops)

    def keep(self, connection: Connection, now: datetime) -> None:
        """Writes what is new, within the transaction that publishes the events."""
        suppressions.write(connection, self.stops, now)
        write(connection, _fresh(connection, self.words), now)


@dataclass(frozen=True)
class _Event:
    """One event of a drain."""

    event_id: int
    person_id: int
    at: datetime
    source: str
    sent_name: str
    keys: tuple[tuple[str, str], ...]
    properties: dict[str, Any]
    evidence: Evidence


@dataclass(frozen=True)
class Hearing:
    """How events are heard.

    Args:
        fields: what fields of a person mean.
        rules: of the identity graph.
        salt: of the project.
    """

    fields: Mapping[str, Field]
    rules: Rules
    salt: bytes

    def hear(self, calls: Normalised, homes: NDArray[np.int64]) -> Heard:
        """Returns what the calls of a drain say; ``homes`` is whose each is."""
        heard = Heard()
        names = list(calls.names.values())
        # Nearly all calls say nothing; which do is seen by their names, of which there are few.
        says = [named.activity in _MESSAGES or named.call in {"identify", "profile"} for named in names]
        for place in [place for place, name in enumerate(calls.name) if says[name]]:
            named, call = names[calls.name[place]], calls.calls[place]
            if named.activity in _MESSAGES:
                self._message(heard, self._event(calls, named, homes, place), str(named.activity))
            elif call.properties != "{}" and int(homes[place]):
                self._traits(heard, self._event(calls, named, homes, place), call.kind)
        heard.words.sort(key=lambda word: (word.said_at, word.status == "withdrawn"))
        return heard

    def _event(self, calls: Normalised, named: Named, homes: NDArray[np.int64], place: int) -> _Event:
        call, heading = calls.calls[place], calls.headings[calls.heading[place]]
        try:
            read = json.loads(call.properties)
        except (ValueError, RecursionError):
            read = {}
        evidence = Evidence(url=call.page[0] or "", agent=heading.request.user_agent)
        properties = {str(key).lower(): value for key, value in read.items()} if isinstance(read, dict) else {}
        return _Event(
            calls.ids[place], int(homes[place]), moment(calls.ts_us[place]), heading.source, named.sent_name or "",
            call.keys,
            properties, evidence,
        )  # fmt: skip

    # ---- messages

    def _message(self, heard: Heard, event: _Event, activity: str) -> None:
        channel = _channel(event)
        topic = _name(event.properties.get("topic") or event.properties.get("purpose"), "topic")
        soft = activity == "message_bounced" and _is_soft(event.properties)
        reason: Any = {
            "message_unsubscribed": "unsubscribed", "message_complained": "complaint",
            "message_bounced": "soft_bounce" if soft else "hard_bounce",
        }[activity]  # fmt: skip
        ends = event.at + timedelta(days=SOFT_DAYS) if soft else None
        stopped = topic if reason == "unsubscribed" else ANY
        stop = Suppression(
            reason, event.at, None, None, channel, stopped, suppressions.COVERS[reason], event.source, ACTOR, ends,
            event.event_id,
        )  # fmt: skip
        where = self._addresses(event, channel)
        heard.stops += [
            replace(stop, address=one, suppression_id=_number(event.event_id, reason, one)) for one in where
        ]
        if event.person_id and not where:
            number = _number(event.event_id, reason, "person")
            heard.stops.append(replace(stop, person_id=event.person_id, suppression_id=number))
        if event.person_id and reason in {"unsubscribed", "complaint"}:
            heard.words.append(self._word(event, channel, stopped, "withdrawn", f"message/{reason}"))

    def _addresses(self, event: _Event, channel: str) -> list[str]:
        """Returns the hashes of the addresses that a message went to, as far as the event says."""
        kinds = sorted({KEY_OF[channel]} if channel in KEY_OF else set(KEY_OF.values()) if channel == ANY else set())
        found: dict[str, None] = {}
        for kind in kinds:
            names = _ADDRESSES["email" if kind == "email" else "sms"]
            said = [event.properties.get(name) for name in names]
            said += [value for key, value in event.keys if key == kind]
            for value in said:
                stored = stored_as(kind, value, self.rules, self.salt) if isinstance(value, str) else None
                if stored is not None:
                    found[stored] = None
        return list(found)

    # ---- fields of a person

    def _traits(self, heard: Heard, event: _Event, kind: str) -> None:
        if kind == "profile" and event.sent_name not in _SETS:
            return
        unset = event.sent_name == "profile_unset"
        for name, value in event.properties.items():
            means = self.fields.get(name)
            if means is not None:
                said = (None if means.reversed else False) if unset else truth(value)
                if said is not None:
                    yes = said is not means.reversed
                    channels = means.grants if yes else means.withdraws
                    self._say(heard, event, ((one, means.purpose, yes) for one in channels), name)
            elif name == STRUCTURED and isinstance(value, dict) and not unset:
                self._say(heard, event, _structured(value), name)

    def _say(self, heard: Heard, event: _Event, said: Iterable[tuple[str, str, bool]], name: str) -> None:
        for channel, purpose, yes in said:
            status: Any = "granted" if yes else "withdrawn"
            origin = f"field/{event.source}/{name}"
            if event.sent_name == "profile_set_once":
                origin += "/once"
            heard.words.append(self._word(event, channel, purpose, status, origin))

    def _word(self, event: _Event, channel: str, purpose: str, status: Any, origin: str) -> Word:
        return Word(
            event.person_id, channel, purpose, status, event.at, source=event.source, actor=ACTOR,
            evidence=event.evidence, origin=origin, event_id=event.event_id,
            record_id=_number(event.event_id, channel, purpose, status, origin),
        )  # fmt: skip


def _channel(event: _Event) -> str:
    """Returns the channel that an event of a message is about; all of them where it does not say."""
    said = _name(event.properties.get("channel"), "channel")
    if said != ANY:
        return said
    name = event.sent_name.strip().lower()
    if name.startswith("email") or name == "unsubscribed":
        return "email"  # as Segment's specification of e-mail events calls them
    if name.startswith("sms"):
        return "sms"
    return "email" if isinstance(event.properties.get("email"), str) else ANY


def _name(value: object, what: str) -> str:
    if not isinstance(value, str):
        return ANY
    try:
        return checked_name(value.strip().lower().replace(" ", "_").replace("-", "_"), what)
    except SettingError:
        # Whoever says no to something that we have no name for is taken to say no to all.
        return ANY


def _is_soft(properties: Mapping[str, Any]) -> bool:
    for name in ("bounce_type", "type", "bouncetype", "severity"):
        said = str(properties.get(name) or "").strip().lower()
        if said:
            return said in _SOFT
    return str(properties.get("status") or properties.get("code") or "").startswith("4")


def _structured(value: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for name, said in value.items():
        inner = said.items() if isinstance(said, dict) else ()
        for channel, answer in inner:
            yield from _one(str(channel), str(name), truth(answer))
        if not isinstance(said, dict):
            purpose = PERSONALISATION if name == PERSONALISATION else "marketing"
            yield from _one(ANY if purpose == PERSONALISATION else str(name), purpose, truth(said))


def _one(channel: str, purpose: str, yes: bool | None) -> Iterator[tuple[str, str, bool]]:
    if yes is None:
        return
    named = _name(channel, "channel"), _name(purpose, "purpose")
    if not yes or ANY not in named or named == (ANY, PERSONALISATION):
        yield *named, yes


def _fresh(connection: Connection, words: Iterable[Word]) -> list[Word]:
    """Leaves out fields that only repeat themselves."""
    fresh: list[Word] = []
    known: dict[int, list[Word]] = {}
    for word in words:
        if word.person_id not in known:
            known[word.person_id] = said_by(connection, everybody_of(connection, word.person_id))
        if not word.origin.startswith("field/") or not _repeats(word, known[word.person_id]):
            fresh.append(word)
            known[word.person_id].append(word)
    return fresh


def _repeats(word: Word, known: Iterable[Word]) -> bool:
    """Tells whether a field says what it said before; a no that somebody has opened again since is a no anew."""
    about = [one for one in known if one.channel in {word.channel, ANY} and one.purpose in {word.purpose, ANY}]
    same = [one for one in about if one.origin == word.origin]
    if not same:
        return False
    if word.status == "withdrawn":
        return _last(same).status == _last(about).status == "withdrawn"
    return word.origin.endswith("/once") or _last(same).status == "granted"


def _last(words: Iterable[Word]) -> Word:
    return max(words, key=lambda one: (one.said_at, one.status == "withdrawn"))


def _number(*parts: object) -> int:
    """Returns the number of what an event said: the same event again gives the same."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 1) or 1
