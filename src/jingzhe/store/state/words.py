"""Words that packed rows name by number: kinds of keys, names of rules."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state import counting
from jingzhe.store.state.identity_tables import identity_word


def all_words(connection: Connection) -> dict[int, str]:
    """Returns the words by number."""
    rows = connection.execute(sa.select(identity_word.c.number, identity_word.c.word))
    return {int(number): str(word) for number, word in rows}


def numbers_of(connection: Connection, words: Iterable[str]) -> dict[str, int]:
    """Returns the numbers of words; those that have none get the next.

    Args:
        connection: a transaction that writes, and has its turn.
        words: any.
    """
    known = {word: number for number, word in all_words(connection).items()}
    new = [word for word in dict.fromkeys(words) if word not in known]
    if new:
        first = counting.last(connection, counting.WORDS) + 1
        rows = [{"number": first + place, "word": word} for place, word in enumerate(new)]
        connection.execute(sa.insert(identity_word), rows)
        counting.raise_to(connection, counting.WORDS, first + len(new) - 1)
        known.update({word: first + place for place, word in enumerate(new)})
    return known
