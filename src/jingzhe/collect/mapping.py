"""Which column is which field: given, or guessed from names and from values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from jingzhe.collect.columns import Look, is_whole
from jingzhe.collect.fields import BY_NAME, FIELDS, Field, normalised, words
from jingzhe.collect.key_columns import field_of, guessed, is_key, kind_of, own_kind
from jingzhe.collect.masking import shape
from jingzhe.collect.report import FieldMatch
from jingzhe.core.errors import ImportRefusedError

_CERTAIN, _LIKELY, _WORDS, _HINT, _VALUES = 1.0, 0.9, 0.7, 0.6, 0.4
_DATES_ENOUGH, _NUMBERS_ENOUGH = 0.5, 0.5
_CLIENT_WORDS = frozenset({"customer", "client", "member", "user", "buyer", "shopper", "household"})


@dataclass(frozen=True)
class Table:
    """A file's columns: names and looks, in order.

    Args:
        file: its name.
        columns: the names.
        looks: what their values look like.
    """

    file: str
    columns: tuple[str, ...]
    looks: Sequence[Look]


@dataclass(frozen=True)
class Keys:
    """What to look for beside orders and events.

    Args:
        kinds: kinds of keys of the customer that may be guessed.
        people: True for a list of people: no column is looked at as an order's or an event's.
        own: kind of the customers' own keys; empty to guess it.
        hidden: True where ``own`` is a personal kind.
    """

    kinds: Set[str] = frozenset()
    people: bool = False
    own: str = ""
    hidden: bool = False


NO_KEYS = Keys()
_OF_PEOPLE = frozenset({"customer_id", "quarantined"})


def match_columns(
    table: Table, given: Mapping[str, str], why_given: str, keys: Keys = NO_KEYS
) -> dict[str, FieldMatch]:
    """Returns the column of each field that was found; of a list of people neither time nor amount.

    Args:
        table: the columns.
        given: columns by field, as people said; an empty name means that the field is not there. Further keys of
            the customer are called by their kind: ``key.phone``.
        why_given: where ``given`` comes from: ``given`` or ``preset``.
        keys: what may be guessed of people.

    Raises:
        ImportRefusedError: a given field or column does not exist, or customer, time or amount was not found.
    """
    matches = _given(table, given, why_given)
    _by_names(table, matches, frozenset(given))
    _by_values(table, matches, frozenset(given))
    # Last: what is an order's number, or the customer's own, is no further key.
    held = {match.column for match in matches.values()}
    kinds = keys.kinds - {own_kind_of(table, matches, keys)}
    further = _further_keys(table, matches, frozenset(given), kinds, held)
    missing = _missing(matches)
    # Points and a birthday look like an amount and a time: without a header that says so they are no orders.
    doubtful = bool(missing) or ("amount" in matches and matches["amount"].why == "values")
    if keys.people or (doubtful and further and _tells_of_people(matches, missing)):
        if "customer_id" not in matches:
            raise _refused(table, ["customer_id"])
        matches = {name: match for name, match in matches.items() if name in _OF_PEOPLE}
        held = {match.column for match in matches.values()}
        further = _further_keys(table, {**matches, **further}, frozenset(given), kinds, held)
    elif missing:
        raise _refused(table, missing)
    if keys.hidden or own_kind_of(table, matches, keys):
        matches["customer_id"] = _masked(matches["customer_id"])
    return {name: matches[name] for name in (field.name for field in FIELDS) if name in matches} | further


def own_kind_of(table: Table, matches: Mapping[str, FieldMatch], keys: Keys) -> str:
    """Returns the kind of the customers' own keys: given, or what header and values say; empty where neither does."""
    if keys.own or "customer_id" not in matches:
        return keys.own
    column = matches["customer_id"].column
    free = keys.kinds - {kind_of(name) for name in matches if is_key(name)}
    return own_kind(column, table.looks[table.columns.index(column)], free)


def _further_keys(
    table: Table, matches: Mapping[str, FieldMatch], settled: frozenset[str], kinds: Set[str], held: Set[str]
) -> dict[str, FieldMatch]:
    """Returns the columns of further keys: those given, and those that header and values say for certain."""
    found = {name: match for name, match in matches.items() if is_key(name)}
    if "customer_id" not in matches:
        return found
    customer = table.looks[table.columns.index(matches["customer_id"].column)]
    for place, (column, look) in enumerate(zip(table.columns, table.looks, strict=True)):
        if column in held or any(match.column == column for match in found.values()):
            continue
        kind = guessed(column, look, customer, kinds)
        if kind is not None and field_of(kind) not in settled | found.keys():
            found[field_of(kind)] = _match(table, field_of(kind), place, "name", _LIKELY)
    return {name: _masked(match) for name, match in sorted(found.items())}


def _masked(match: FieldMatch) -> FieldMatch:
    """Returns a match whose samples are shapes: what an import says of itself is kept and shown, and is nobody's."""
    return replace(match, samples=tuple(shape(sample) for sample in match.samples))


def _tells_of_people(matches: Mapping[str, FieldMatch], missing: Sequence[str]) -> bool:
    """Tells whether a file is a list of people: there are customers, and no header speaks of orders or events."""
    if "customer_id" in missing:
        return False
    telling = {name for name, match in matches.items() if match.why in {"given", "preset"} or match.confidence > _HINT}
    return all(name in _OF_PEOPLE or is_key(name) for name in telling)


def _given(table: Table, given: Mapping[str, str], why: str) -> dict[str, FieldMatch]:
    matches: dict[str, FieldMatch] = {}
    for name, column in given.items():
        if name not in BY_NAME and not is_key(name):
            raise ImportRefusedError(
                f"There is no field {name!r}",
                hint=f"The fields are: {', '.join(BY_NAME)}; further keys are called key.phone, key.email …",
                file=table.file,
            )
        if not column:
            continue
        position = _position(table.columns, column)
        if position is None:
            raise ImportRefusedError(
                f"The column {column!r}, given for {_called(name)}, is not in the file",
                hint=f"Its columns are: {', '.join(table.columns[:30])}.",
                file=table.file,
            )
        matches[name] = _match(table, name, position, why, _CERTAIN)
    return matches


def _called(name: str) -> str:
    return f"the key {kind_of(name)}" if is_key(name) else name


def _position(columns: Sequence[str], wanted: str) -> int | None:
    """Returns the position of a column, by its exact name, else by one that differs in case and spaces only."""
    if wanted in columns:
        return columns.index(wanted)
    same = [place for place, column in enumerate(columns) if normalised(column) == normalised(wanted)]
    return same[0] if len(same) == 1 else None


def _match(table: Table, name: str, position: int, why: str, confidence: float) -> FieldMatch:
    return FieldMatch(name, table.columns[position], why, confidence, table.looks[position].samples[:3])


def _by_names(table: Table, matches: dict[str, FieldMatch], settled: frozenset[str]) -> None:
    used = {match.column for match in matches.values()}
    scored = [
        (score, -order, -position, field.name)
        for order, field in enumerate(FIELDS)
        if field.name not in settled
        for position, column in enumerate(table.columns)
        if (score := _score(field, column)) and _fits(field, table.looks[position])
    ]
    for score, _, position, name in sorted(scored, reverse=True):
        column = table.columns[-position]
        if name not in matches and column not in used:
            matches[name] = _match(table, name, -position, "name", score)
            used.add(column)


def _score(field: Field, column: str) -> float:
    """Returns how much a header speaks for a field, 0 for nothing."""
    name = normalised(column)
    if name in field.names:
        place = field.names.index(name)
        return _CERTAIN if place < 3 else _LIKELY + 0.09 / (1 + place)
    if name in field.hints:
        return _HINT
    if any(_is_chinese(known) and len(known) > 1 and known in name for known in field.names):
        return _WORDS
    return _by_words(field.name, frozenset(words(column)))


def _by_words(name: str, parts: frozenset[str]) -> float:
    """Returns how much the single words of a header speak for the field called ``name``."""
    if name == "ordered_at":
        return _HINT - 0.05 if parts & _TIME_WORDS and not parts & _OTHER_DATES else 0.0
    about = {"customer_id": _CLIENT_WORDS, "order_id": _ORDER_WORDS}.get(name, frozenset())
    return _WORDS if parts & about and parts & _KEY_WORDS else 0.0


_TIME_WORDS = frozenset({"date", "time", "timestamp", "datetime"})
_KEY_WORDS = frozenset({"id", "no", "number", "code", "key"})
_ORDER_WORDS = frozenset({"order", "invoice", "basket"})
_OTHER_DATES = frozenset(
    (
        *("birth", "birthday", "ship", "shipped", "shipping", "delivery", "delivered", "due", "update", "updated"),
        *("modified", "return", "returned", "expiry", "end", "registration", "signup", "zone", "timezone"),
    )
)
"""Words of headers whose times are not when somebody bought."""


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def _fits(field: Field, look: Look) -> bool:
    """Tells whether a column's values may be the field; one without values may be anything."""
    if look.filled == 0:
        return True
    if field.kind == "time":
        return look.time_share >= _DATES_ENOUGH or look.time_style() not in {"iso", None} or not _numeric(look)
    if field.kind == "number":
        return _numeric(look) or look.number_share > 0
    return not look.is_native_time


def _numeric(look: Look) -> bool:
    return look.number_share >= _NUMBERS_ENOUGH


def _by_values(table: Table, matches: dict[str, FieldMatch], settled: frozenset[str]) -> None:
    """Finds what is still needed by what the values look like; told with little confidence."""
    used = {match.column for match in matches.values()}
    free = [place for place, column in enumerate(table.columns) if column not in used and table.looks[place].filled]

    def take(name: str, places: Iterable[int]) -> None:
        for place in places:
            if name not in matches and name not in settled:
                matches[name] = _match(table, name, place, "values", _VALUES)
                free.remove(place)
            return

    take("ordered_at", [place for place in free if table.looks[place].time_share > 0.9])
    if not {"amount", "price"} & set(matches) and "event_name" not in matches:
        numbers = [place for place in free if table.looks[place].number_share > 0.9]
        take("amount", [place for place in numbers if table.looks[place].fractions])
    keys = [place for place in free if _may_be_key(table.looks[place])]
    if "customer_id" not in matches and "ordered_at" in matches and keys:
        # Of two keys the one that repeats more is the customer, the other the order.
        keys.sort(key=lambda place: table.looks[place].distinct)
        take("customer_id", keys)
        take("order_id", [place for place in keys if place in free and _repeats_less(table, place, matches)])


def _may_be_key(look: Look) -> bool:
    if look.is_native_time or look.time_share > 0.5 or look.fractions:
        return False
    return look.distinct >= max(2, look.filled // 500) and (is_whole(look) or look.number_share < 0.5)


def _repeats_less(table: Table, place: int, matches: Mapping[str, FieldMatch]) -> bool:
    customer = table.looks[table.columns.index(matches["customer_id"].column)]
    return table.looks[place].distinct > 1.2 * customer.distinct


def _missing(matches: Mapping[str, FieldMatch]) -> list[str]:
    missing = [name for name in ("customer_id", "ordered_at") if name not in matches]
    if not {"amount", "price", "event_name"} & set(matches):
        missing.append("amount")
    return missing


def _refused(table: Table, missing: Sequence[str]) -> ImportRefusedError:
    looked = "; ".join(f"{name}: {', '.join(BY_NAME[name].names[:4])}, …" for name in missing)
    found = [
        f"{column} ({', '.join(look.samples[:2]) or 'empty'})"
        for column, look in zip(table.columns[:30], table.looks, strict=False)
    ]
    more = f" and {len(table.columns) - 30} more" if len(table.columns) > 30 else ""
    names = {"customer_id": "customer", "ordered_at": "time", "amount": "amount"}
    return ImportRefusedError(
        f"No column for {' and '.join(names[name] for name in missing)} was found",
        hint=f"Looked for headers such as {looked}. Found: {', '.join(found)}{more}. "
        f"Say which column it is: --map {missing[0]}=COLUMN",
        file=table.file,
    )
