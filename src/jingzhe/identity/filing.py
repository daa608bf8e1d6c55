"""How the lake has keys of personal kinds: as the keyed hash that the graph stores, and marked as one.

Files name customers by telephone or e-mail, too. Everything behind the reading of a file knows such a customer by
``hashed:`` and the hash: facts of later files join by it, lists show it, and a list may be imported again. What is no
telephone number in a column of telephone numbers still tells one customer from another: it is hashed as it is written,
and marked so that it joins nobody.
"""

from __future__ import annotations

import pyarrow as pa

from jingzhe.identity.keys import HASHED, OTHER, hash_filed, is_other
from jingzhe.identity.observations import Coder
from jingzhe.identity.rules import Rules

IS_FILED = f"value LIKE '{HASHED}%' OR value LIKE '{OTHER}%'"
"""Tells whether a row of the table ``identities`` has a hash for a value."""


def is_filed(value: str) -> bool:
    """Tells whether a key is written as the lake has it: as a hash."""
    return hash_filed(value) is not None or is_other(value)


def forms_of(rules: Rules, salt: bytes | None, value: str, kind: str = "") -> list[str]:
    """Returns how the lake may have a value: as it is written, and as hashes of personal kinds.

    Args:
        rules: of the project.
        salt: its secret; None where there is none yet, and no hash either.
        value: as somebody writes it.
        kind: of the key; empty for any.
    """
    if salt is None:
        return [value]
    names = [name for name, one in rules.kinds.items() if one.personal and (not kind or rules.are_same(name, kind))]
    if kind and not names and kind.partition("/")[0] in rules.kinds:
        names = [kind]
    coder, given = Coder(rules, salt), pa.array([value], pa.string())
    hashed = [found[0].as_py() for name in names if (found := coder.filed(name, given)) is not None]
    return list(dict.fromkeys([value, *hashed]))
