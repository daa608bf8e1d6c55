"""The transactional store: what must be unique or appear all at once, in SQLite or in PostgreSQL.

``store`` is the interface, ``database`` connections and transactions, ``leases`` who may write, ``documents``
the parts' small JSON documents, ``tables`` the newest shape and ``migrations`` the way there.
"""

from jingzhe.store.state.leases import Lease
from jingzhe.store.state.records import Document, Publication
from jingzhe.store.state.store import State

__all__ = ["Document", "Lease", "Publication", "State"]
