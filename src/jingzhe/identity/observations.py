"""Observations: keys that were seen together, many at a time, in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jingzhe.core.errors import SettingError
from jingzhe.identity.keys import HASHED, OTHER, Key, hash_filed, hidden, is_other
from jingzhe.identity.normalising import junk_of, written_all
from jingzhe.identity.numbering import numbered
from jingzhe.identity.rules import Rules
from jingzhe.store.state.ordering import distinct, numbered_places


@dataclass(frozen=True)
class Observation:
    """Keys that one event carries: they belong to the one person who did it.

    Args:
        keys: kinds and values, as the source writes them.
        at: aware moment of the event.
        event: what to show as the reason: the id of the event.
    """

    keys: tuple[Key, ...]
    at: datetime
    event: str = ""


class KeyColumn(NamedTuple):
    """The keys of one kind of many observations: None where an observation has none.

    Args:
        kind: such as ``phone``.
        values: as the source writes them.
        filed: True where personal values may be hashes, as the lake has them. Not of live events: who knows a hash, as
            from a list, is not the one who has the telephone.
    """

    kind: str
    values: Sequence[str | None] | pa.Array
    filed: bool = False


@dataclass(frozen=True)
class Observations:
    """Many observations in the order in which they are to count.

    Args:
        columns: keys by kind, each as long as ``at_us``; a kind may stand twice (two keys of one kind in an event).
        at_us: moments, UTC microseconds.
        events: ids of the events.
    """

    columns: tuple[KeyColumn, ...]
    at_us: NDArray[np.int64]
    events: Sequence[str] = field(repr=False)

    def __post_init__(self) -> None:
        wrong = [column.kind for column in self.columns if len(column.values) != len(self.at_us)]
        if wrong or len(self.events) != len(self.at_us):
            raise SettingError(
                "The columns of observations are not equally long",
                column=wrong[0] if wrong else "events",
                rows=len(self.at_us),
            )

    def __len__(self) -> int:
        return len(self.at_us)

    @classmethod
    def of(cls, observations: Iterable[Observation]) -> Observations:
        """Returns single observations as columns."""
        rows = list(observations)
        columns: dict[tuple[str, int], list[str | None]] = {}
        for position, row in enumerate(rows):
            met: dict[str, int] = {}
            for kind, value in row.keys:
                nth = met.get(kind, 0)
                met[kind] = nth + 1
                columns.setdefault((kind, nth), [None] * len(rows))[position] = value
        return cls(
            tuple(KeyColumn(kind, values) for (kind, _), values in columns.items()),
            np.array([_micros(row.at) for row in rows], np.int64),
            [row.event for row in rows],
        )


@dataclass
class Coded:
    """Observations in numbers: each distinct key has a code, 0 and up, in the order of the keys' numbers.

    Args:
        names: names of the kinds.
        kinds: code of each key's kind.
        values: value of each key as it is stored.
        ids: number under which each key is stored, unique.
        natural: number that each key was given by itself; not ``ids`` where another key has it.
        matrix: codes of each observation's keys, one column per column of keys, the strongest first; -1 for none.
        junk: how many values joined nobody because they stand for none.
        unusable: the same by kind.
    """

    names: list[str]
    kinds: NDArray[np.int64]
    values: pa.Array
    ids: NDArray[np.int64]
    natural: NDArray[np.int64]
    matrix: NDArray[np.int64]
    junk: int = 0
    unusable: Mapping[str, int] = field(default_factory=dict)

    def part(self, begin: int, end: int) -> Coded:
        """Returns some of the observations, with their keys only."""
        matrix = self.matrix[begin:end]
        codes = distinct(matrix[matrix >= 0])
        places = np.where(matrix >= 0, np.searchsorted(codes, matrix), -1)
        values = self.values.take(pa.array(codes))
        return Coded(self.names, self.kinds[codes], values, self.ids[codes], self.natural[codes], places)


class Coder:
    """Turns keys into codes under one project's rules.

    Args:
        rules: of the project.
        salt: its secret.
    """

    def __init__(self, rules: Rules, salt: bytes) -> None:
        self._rules = rules
        self._salt = salt

    def encode(self, observations: Observations) -> Coded:
        """Returns the observations in numbers; values that stand for none are left out.

        Raises:
            SettingError: a kind is not known.
        """
        called = [column._replace(kind=self._rules.called(column.kind)) for column in observations.columns]
        order = sorted(called, key=lambda column: self._rank(column.kind))
        names = list(dict.fromkeys(column.kind for column in order))
        numbers, texts, kinds, places, unusable = [], [], [], [], Counter[str]()
        met = 0
        for column in order:
            raw = column.values if isinstance(column.values, pa.Array) else pa.array(column.values, pa.string())
            encoded = raw.dictionary_encode()
            stored, usable = self._stored_values(column.kind, encoded.dictionary, filed=column.filed)
            position = np.full(len(usable) + 1, -1, np.int64)
            position[:-1][usable] = met + np.arange(len(stored))
            found = position[encoded.indices.fill_null(len(usable)).to_numpy(zero_copy_only=False)]
            unusable[column.kind] += int((found < 0).sum()) - raw.null_count
            numbers.append(numbered(stored, self._salt + column.kind.encode()))
            texts.append(stored)
            kinds.append(np.full(len(stored), names.index(column.kind), np.int64))
            places.append(found)
            met += len(stored)
        junk = unusable.total()
        matrix = np.stack(places, axis=1) if places else np.full((len(observations), 0), -1, np.int64)
        if not met:
            # No column is left, so that nobody looks a key up among none.
            empty, matrix = np.empty(0, np.int64), matrix[:, :0]
            return Coded(names, empty, pa.array([], pa.string()), empty, empty, matrix, junk, unusable)
        natural = np.concatenate(numbers)
        ids, first, code = _distinct(natural, kind_of := np.concatenate(kinds), values := pa.concat_arrays(texts))
        return Coded(
            names, kind_of[first], values.take(pa.array(first)), ids, natural[first],
            np.where(matrix >= 0, code[matrix], -1), junk, unusable,
        )  # fmt: skip

    def stored(self, key: Key, *, filed: bool = False) -> tuple[str, int] | None:
        """Returns the value under which a key is stored and its number, None where it stands for no value.

        Args:
            key: as a source writes it.
            filed: True where it may be written as the lake has it.
        """
        kind = self._rules.called(key.kind)
        values, _ = self._stored_values(kind, pa.array([key.value], pa.string()), filed=filed)
        if not len(values):
            return None
        return values[0].as_py(), int(numbered(values, self._salt + kind.encode())[0])

    def filed(self, kind: str, values: pa.Array) -> pa.Array | None:
        """Returns values of a personal kind as the lake has them, None where the kind is not personal.

        Args:
            kind: of the keys.
            values: as the source writes them, or as the lake has them; none is null.
        """
        name = self._rules.called(kind)
        if not self._rules.kind(name).personal:
            return None
        stored, usable = self._stored_values(name, values, filed=True)
        made = np.array(
            [
                text if is_other(text) else OTHER + hidden(f"{name} as written", text, self._salt)
                for text in values.filter(pa.array(~usable)).to_pylist()
            ],
            np.object_,
        )
        found = np.empty(len(values), np.object_)
        found[~usable] = made
        found[usable] = [HASHED + one for one in stored.to_pylist()]
        return pa.array(found, pa.string())

    def _rank(self, name: str) -> tuple[bool, int]:
        kind = self._rules.kind(name)
        return (not kind.merges, -kind.strength)

    def _stored_values(self, name: str, raw: pa.Array, *, filed: bool = False) -> tuple[pa.Array, NDArray[np.bool_]]:
        """Returns the values that are some as they are stored, and which of ``raw`` they are."""
        kind = self._rules.kind(name)
        if filed and kind.personal:
            return self._stored_of_filed(name, raw)
        written = written_all(kind.normaliser, raw, self._rules.region)
        usable = ~junk_of(written, self._rules.never_everywhere[kind.name])
        values = written.filter(pa.array(usable))
        if kind.personal:
            values = pa.array([hidden(name, value, self._salt) for value in values.to_pylist()], pa.string())
            never = self._rules.never_hashed.get(kind.name)
            if never:
                kept = ~pc.is_in(values, pa.array(sorted(never), pa.string())).to_numpy(zero_copy_only=False)
                usable[usable] = kept
                values = values.filter(pa.array(kept))
        return values, usable

    def _stored_of_filed(self, name: str, raw: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
        texts = raw.to_pylist()
        found = np.empty(len(texts), np.object_)
        found[:] = [hash_filed(text) for text in texts]
        as_written = np.array(
            [one is None and not is_other(text) for one, text in zip(found, texts, strict=True)], bool
        )
        values, usable = self._stored_values(name, raw.filter(pa.array(as_written)))
        found[np.flatnonzero(as_written)[usable]] = values.to_pylist()
        never = self._rules.never_hashed.get(self._rules.kind(name).name, frozenset())
        kept = np.array([one is not None and one not in never for one in found], bool)
        return pa.array(found[kept], pa.string()), kept


def _distinct(
    numbers: NDArray[np.int64], kinds: NDArray[np.int64], values: pa.Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns the numbers of the distinct keys, where each stands first, and the code of each that was given.

    Two keys of one number are told apart by kind and value; the second takes the next number.
    """
    while True:
        ids, first, code = numbered_places(numbers)
        again = np.ones(len(numbers), bool)
        again[first] = False
        later = np.flatnonzero(again)
        before = first[code[later]]
        same = pc.equal(values.take(pa.array(before)), values.take(pa.array(later))).to_numpy(zero_copy_only=False)
        same &= kinds[before] == kinds[later]
        if same.all():
            return ids, first, code
        numbers = numbers.copy()
        numbers[later[~same]] += 1


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise SettingError("The moment of an observation has no time zone", at=moment.isoformat())
    return round(moment.timestamp() * 1_000_000)
