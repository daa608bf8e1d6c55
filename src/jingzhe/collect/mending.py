"""Refused rows that somebody mended come back: they complete their orders, and leave the quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jingzhe.collect import queries
from jingzhe.collect.rows import ROWS
from jingzhe.store.facts import QUARANTINE
from jingzhe.store.query import Step
from jingzhe.store.warehouse import Writing


def take_mended(writing: Writing, present: tuple[str, ...], values: Mapping[str, Any]) -> int:
    """Joins mended rows with what is known of their orders, and stages the quarantine without them.

    A row whose key is in quarantine no more was taken before: it is left out, so that the same file again changes
    nothing.

    Args:
        writing: the write under way, with the rows kept.
        present: columns of the kept rows.
        values: ``source`` and ``kind``.

    Returns:
        how many rows were left out.
    """
    session = writing.session
    session.keep(queries.OPEN_KEYS)
    before = session.run(queries.ROW_COUNT)["rows"][0].as_py()
    left_out = int(before) - session.keep(queries.UNTAKEN_ROWS)
    mended = session.keep(queries.MENDED_KEYS)
    if not mended:
        return left_out
    if "order_id" in present:
        known = queries.known_lines(present)
        session.keep(Step("known_lines", known.sql), values)
        session.keep(Step(ROWS, f"SELECT * FROM {ROWS} UNION ALL BY NAME SELECT * FROM known_lines"))
    files = writing.write(QUARANTINE, queries.STILL_OPEN)
    writing.stage(QUARANTINE, files, replace=True)
    return left_out
