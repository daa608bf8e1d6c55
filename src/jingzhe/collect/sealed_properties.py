"""Personal values within the properties of events: sealed before they are written to the lake, opened for who may.

Only the values of personal fields are touched; every other value stays byte for byte as the client wrote it. A value is
bound to its event: copied into another one it does not open, so nobody can have a value opened by sending it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw
from numpy.typing import NDArray

from jingzhe.collect.personal import PersonalNames, names_of
from jingzhe.collect.wire.call import UNREADABLE
from jingzhe.core.errors import SealError
from jingzhe.core.sealing import TEXT, Sealer
from jingzhe.store.state import State

COLUMN = "event_details.properties"
OF_PEOPLE = frozenset({"identify", "profile", "group"})
"""Calls whose properties are what is said of a person, or of a company."""
_MARK = TEXT.encode()
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_NESTED = b"{["
_PLAIN = (b"true", b"false", b"null", b'""', b"[]", b"{}")


@dataclass(frozen=True)
class PropertySeal:
    """Seals properties.

    Args:
        sealer: with the project's keys.
        names: which fields are personal.
    """

    sealer: Sealer
    names: PersonalNames

    def column(self, properties: pa.Array, event_ids: Sequence[int], of_person: NDArray[np.bool_]) -> pa.Array:
        """Returns a column of properties with the values of personal fields sealed.

        Args:
            properties: JSON, one an event.
            event_ids: numbers of the events.
            of_person: of each whether they are what is said of a person.
        """
        # One pass over the bytes finds the few events that are worth taking apart.
        may = pc.match_substring_regex(properties, pattern=self.names.pattern).fill_null(False)
        places = np.flatnonzero(np.asarray(may) | of_person)
        if not len(places):
            return properties
        found = properties.take(pa.array(places)).to_pylist()
        sealed = [
            self.sealed(text, event_ids[place], of_person=bool(of_person[place]))
            for place, text in zip(places.tolist(), found, strict=True)
        ]
        mask = np.zeros(len(properties), bool)
        mask[places] = True
        return pc.replace_with_mask(properties, pa.array(mask), pa.array(sealed, properties.type))

    def sealed(self, text: str, event_id: int, *, of_person: bool) -> str:
        """Returns properties with the values of personal fields sealed.

        Args:
            text: JSON.
            event_id: number of the event.
            of_person: whether they are what is said of a person.
        """
        if text == "{}":
            return text
        raw = text.encode()
        try:
            made = self._object(raw, f"{COLUMN}/{event_id}", of_person)
        except UNREADABLE:
            # What cannot be taken apart may hold anything.
            made = _sealed_value(self.sealer, f"{COLUMN}/{event_id}", raw)
        return text if made is raw else made.decode()

    def _object(self, raw: bytes, what: str, of_person: bool) -> bytes:
        fields: dict[str, Any] = dict(_object(raw))
        changed = False
        for name, value in fields.items():
            written = bytes(value)
            if self.names.holds(name, of_person=of_person) and _says_something(written):
                made = _sealed_value(self.sealer, what, written)
            elif written[0] in _NESTED:
                made = self._value(written, what, of_person or self.names.is_person(name))
            else:
                continue
            if made is not written:
                fields[name] = Raw(made)
                changed = True
        return _encode(fields) if changed else raw

    def _value(self, raw: bytes, what: str, of_person: bool) -> bytes:
        if raw.startswith(b"{"):
            return self._object(raw, what, of_person)
        if not raw.startswith(b"["):
            return raw
        values = [bytes(one) for one in _list(raw)]
        made = [self._value(one, what, of_person) for one in values]
        if all(new is old for new, old in zip(made, values, strict=True)):
            return raw
        return _encode([Raw(one) for one in made])


def _says_something(raw: bytes) -> bool:
    """Tells whether a value could tell who somebody is; truths do not, nor objects of nothing but truths."""
    if raw.startswith(b"{"):
        return any(_says_something(bytes(one)) for one in _object(raw).values())
    if raw.startswith(b"["):
        return any(_says_something(bytes(one)) for one in _list(raw))
    return raw not in _PLAIN


def _sealed_value(sealer: Sealer, what: str, raw: bytes) -> bytes:
    return b'"' + sealer.seal_text(what, raw.decode("utf-8", "surrogatepass")).encode() + b'"'


def seal_of(state: State) -> PropertySeal | None:
    """Returns what seals the properties of a project's events; None where its store was opened without keys."""
    sealer = state.sealer
    return None if sealer is None else PropertySeal(sealer, names_of(state))


@dataclass(frozen=True)
class Opened:
    """Properties as they came.

    Args:
        text: JSON.
        closed: how many values could not be opened: their key is gone, or they are not of this event.
    """

    text: str
    closed: int = 0


def opened(sealer: Sealer | None, text: str | None, event_id: int) -> Opened:
    """Returns properties with what was sealed in them opened; what does not open stays as it stands.

    Args:
        sealer: with the project's keys; None where there are none.
        text: JSON, as it stands in the lake.
        event_id: number of the event.
    """
    if text is None or TEXT not in text:
        return Opened(text or "")
    try:
        made, closed = _open(text.encode(), f"{COLUMN}/{event_id}", sealer)
    except UNREADABLE:
        return Opened(text, 1)
    return Opened(made.decode(), closed)


def _open(raw: bytes, what: str, sealer: Sealer | None) -> tuple[bytes, int]:
    if _MARK not in raw:
        return raw, 0
    if raw.startswith(b"{"):
        fields = {name: _open(bytes(value), what, sealer) for name, value in _object(raw).items()}
        return _encode({name: Raw(value) for name, (value, _) in fields.items()}), _count(fields.values())
    if raw.startswith(b"["):
        values = [_open(bytes(one), what, sealer) for one in _list(raw)]
        return _encode([Raw(value) for value, _ in values]), _count(values)
    return _open_value(raw, what, sealer)


def _count(opened_values: Iterable[tuple[bytes, int]]) -> int:
    return sum(closed for _, closed in opened_values)


def _open_value(raw: bytes, what: str, sealer: Sealer | None) -> tuple[bytes, int]:
    written = _text(raw)
    if not written.startswith(TEXT):
        return raw, 0
    if sealer is None:
        return raw, 1
    try:
        return sealer.open_text(what, written).encode("utf-8", "surrogatepass"), 0
    except SealError:
        # Somebody else's words may look like a seal; and one value whose key is gone does not hide the others.
        return raw, 1
