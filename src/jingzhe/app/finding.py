"""Who is known by a key: the identity graph says so where it has the key, the lake where it does not."""

from __future__ import annotations

from jingzhe.consent.owning import NOBODY, owners
from jingzhe.identity.filing import forms_of
from jingzhe.identity.people import current
from jingzhe.identity.rules import known_salt, load_rules
from jingzhe.store.lake.person_rows import known_as
from jingzhe.store.warehouse import Warehouse


def known_by(warehouse: Warehouse, value: str, kind: str = "") -> set[int]:
    """Returns who is known by a key.

    Args:
        warehouse: of the project.
        value: as the source writes it.
        kind: of the key; empty for any that says who somebody is, those of the table ``identities`` first.
    """
    rules = load_rules(warehouse.state)
    with warehouse.state.reading() as connection:
        salt = known_salt(connection)
    filed = known_as(warehouse, forms_of(rules, salt, value, kind))
    rows = [row for row in filed if not kind or rules.are_same(row[0], kind)]
    asked = {(kind, value)} if kind else {(name, written) for name, written, _ in rows}
    with warehouse.state.reading() as connection:
        owned = owners(connection, asked, rules)
        found = set(owned.values())
        if not kind or not owned:
            found |= {current(connection, home) for name, written, home in rows if (name, written) not in owned}
        if not kind and not rows:
            joining = [(name, value) for name, one in rules.kinds.items() if one.merges]
            found = set(owners(connection, joining, rules).values())
    return found - {NOBODY}
