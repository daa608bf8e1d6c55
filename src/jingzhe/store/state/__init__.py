"""The transactional store: what must be unique or appear all at once, in SQLite or in PostgreSQL.

``store`` is the interface, ``database`` connections and transactions, ``leases`` who may write, ``documents``
the parts' small JSON documents, ``tables`` and what ends in ``_tables`` the newest shape, ``bulk`` many
rows at once, ``inbox`` what was acknowledged and waits, and ``migrations`` the way there.
"""

from jingzhe.store.state import (
    access_tables,
    collect_tables,
    consent_tables,
    identity_tables,
    links_tables,
    measure_tables,
    outgoing_tables,
)
from jingzhe.store.state.leases import Lease
from jingzhe.store.state.records import Document, Publication
from jingzhe.store.state.store import State

__all__ = [
    "Document",
    "Lease",
    "Publication",
    "State",
    "access_tables",
    "collect_tables",
    "consent_tables",
    "identity_tables",
    "links_tables",
    "measure_tables",
    "outgoing_tables",
]
