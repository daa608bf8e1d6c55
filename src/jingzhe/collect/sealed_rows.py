"""Refused rows of files, sealed in the lake as they are in no other place of it: nobody has understood them yet.

The same row of the same place of a file has the same seal (by one key), so that a file that comes again is not refused
twice. That tells no more than file and line, which stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from jingzhe.core.errors import SealError
from jingzhe.core.sealing import TEXT, Sealer
from jingzhe.store.engine import Session
from jingzhe.store.query import one

NEW = "new_refused"
"""Under this name a session has the refused rows as they are to be stored."""
_SEALED = ("row", "value")
_REFUSED = one("refused_as_read", "SELECT * FROM refused_rows")


def offer_sealed(session: Session, sealer: Sealer | None) -> None:
    """Offers the rows ``refused_rows`` of a session under :data:`NEW`, sealed.

    Args:
        session: has them.
        sealer: with the project's keys; None to leave them as they are.
    """
    rows = session.run(_REFUSED)
    if sealer is not None:
        rows = _changed(rows, lambda what, text: sealer.seal_text(what, text, repeatable=True))
    session.offer(NEW, rows)


def opened_rows(rows: pa.Table, sealer: Sealer | None) -> pa.Table:
    """Returns rows of the quarantine opened; what does not open, as its key is gone, stays as it stands.

    Args:
        rows: with ``file``, ``line``, ``row`` and ``value``.
        sealer: with the project's keys; None where there are none.
    """

    def opened(what: str, text: str) -> str:
        if sealer is None or not text.startswith(TEXT):
            return text
        try:
            return sealer.open_text(what, text)
        except SealError:
            # One row whose key was given up hides no other; a file may also hold what only looks like a seal.
            return text

    return _changed(rows, opened)


def _changed(rows: pa.Table, change: Callable[[str, str], str]) -> pa.Table:
    places = list(zip(rows["file"].to_pylist(), rows["line"].to_pylist(), strict=True))
    for name in _SEALED:
        texts: Iterable[str | None] = rows[name].to_pylist()
        made = [
            None if text is None else change(f"quarantine.{name}/{file}/{line}", text)
            for (file, line), text in zip(places, texts, strict=True)
        ]
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.field(place), pa.array(made, rows.field(place).type))
    return rows
