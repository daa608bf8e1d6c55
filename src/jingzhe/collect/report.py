"""What an import tells: how it understood the file, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from typing import Any

from jingzhe.core.text import Text


@dataclass(frozen=True)
class FieldMatch:
    """Which column was taken for a field, and why.

    Args:
        field: the field.
        column: the file's column.
        why: ``given``, ``preset``, ``name`` (its header says so) or ``values`` (its values look like it).
        confidence: 0 to 1.
        samples: some of its values.
        note: how its values are read, where that is not plain.
    """

    field: str
    column: str
    why: str
    confidence: float
    samples: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class MappingReport:
    """How one file was understood.

    Args:
        file: its name.
        shape: ``lines`` (orders with their lines), ``orders``, ``events`` or ``people``.
        matches: by field.
        unused: columns that stand for nothing here.
        encoding: how its text is encoded; empty for formats that say so themselves.
        delimiter: what stands between its columns; empty for other formats than CSV.
        key_kind: kind of the customers' keys, given or guessed; empty for the usual one, a customer's number.
    """

    file: str
    shape: str
    matches: tuple[FieldMatch, ...]
    unused: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""
    key_kind: str = ""

    def __getitem__(self, name: str) -> FieldMatch:
        for match in self.matches:
            if match.field == name:
                return match
        raise KeyError(name)

    @property
    def columns(self) -> dict[str, str]:
        """Returns the column of each field, as ``mapping`` takes it."""
        return {match.field: match.column for match in self.matches}

    def as_text(self) -> str:
        """Returns the report as lines for people."""
        lines = [f"{self.file}: {self.shape}"]
        for match in self.matches:
            samples = ", ".join(match.samples[:3])
            own = self.key_kind if match.field == "customer_id" else ""
            said = match.note or (f"keys of the kind {own}" if own else "")
            note = f"; {said}" if said else ""
            lines.append(
                f"  {match.field:<12} = {match.column}  ({match.why}, {match.confidence:.0%}; {samples}{note})"
            )
        if self.unused:
            lines.append(f"  not used: {', '.join(self.unused)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class ImportSummary:
    """What one import did.

    Args:
        import_id: its name, also in the table ``quarantine``.
        source: the source that its facts carry.
        files: names of what was read, in order.
        rows: rows found, refused ones included.
        rejected: refused rows by reason.
        orders: orders and single events that are new.
        orders_replaced: orders of an earlier import that were corrected.
        orders_unchanged: orders and single events that were known already, exactly so.
        events: rows written to ``events``.
        items: rows written to ``items``.
        people: people not known before.
        keys: further keys of customers that could be used, by kind; each once for a customer.
        keys_unusable: those that could not, by kind: no telephone number, a placeholder such as 13800138000.
        people_joined: people who became one with another because of these keys.
        first_day: day of the earliest accepted row.
        last_day: day of the latest accepted row.
        seconds: how long it took.
        publication: number of the publication that shows it; None where nothing changed.
        mappings: how each file was understood.
        unknown_events: names of events that no activity is known for, with their rows; they count as interaction.
        notes: what else should be known.
        repeated: name of the earlier import that these very files came with; nothing was done then.
    """

    import_id: str
    source: str
    files: tuple[str, ...]
    rows: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    orders: int = 0
    orders_replaced: int = 0
    orders_unchanged: int = 0
    events: int = 0
    items: int = 0
    people: int = 0
    keys: Mapping[str, int] = field(default_factory=dict)
    keys_unusable: Mapping[str, int] = field(default_factory=dict)
    people_joined: int = 0
    first_day: date | None = None
    last_day: date | None = None
    seconds: float = 0.0
    publication: int | None = None
    mappings: tuple[MappingReport, ...] = ()
    unknown_events: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[Text, ...] = ()
    repeated: str | None = None

    @property
    def rows_rejected(self) -> int:
        """Returns how many rows were refused."""
        return sum(self.rejected.values())

    @property
    def rows_accepted(self) -> int:
        """Returns how many rows were good."""
        return self.rows - self.rows_rejected

    @property
    def changed(self) -> bool:
        """Tells whether the import changed anything."""
        return self.publication is not None

    def again(self, seconds: float) -> ImportSummary:
        """Returns what to tell when the very same files come again and nothing is done."""
        known = self.orders + self.orders_replaced + self.orders_unchanged
        return replace(
            self, repeated=self.import_id, publication=None, orders=0, orders_replaced=0, orders_unchanged=known,
            events=0, items=0, people=0, people_joined=0, seconds=round(seconds, 3),
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Returns the summary as plain JSON."""
        body = asdict(self)
        for name in ("first_day", "last_day"):
            body[name] = None if body[name] is None else body[name].isoformat()
        for name in ("rejected", "keys", "keys_unusable"):
            body[name] = dict(body[name])
        body["notes"] = [list(note) for note in self.notes]
        return body

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> ImportSummary:
        """Returns the summary that :meth:`document` wrote."""
        known = {one.name for one in fields(cls)}
        given = {name: value for name, value in body.items() if name in known}
        for name in ("first_day", "last_day"):
            given[name] = date.fromisoformat(given[name]) if given.get(name) else None
        given["files"] = tuple(given["files"])
        given["notes"] = tuple(Text(*note) for note in given["notes"])
        given["mappings"] = tuple(_mapping(one) for one in given["mappings"])
        return cls(**given)


def _mapping(body: Mapping[str, Any]) -> MappingReport:
    matches = tuple(FieldMatch(**{**one, "samples": tuple(one["samples"])}) for one in body["matches"])
    return MappingReport(**{**body, "matches": matches, "unused": tuple(body["unused"])})
