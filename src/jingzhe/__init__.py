"""Jingzhe 惊蛰: find the customers who have gone quiet or are about to, say why, and hold a list to act on.

>>> import jingzhe
>>> ws = jingzhe.open("my-shop")                      # doctest: +SKIP
>>> ws.import_("orders.csv")                          # doctest: +SKIP
>>> ws.dormant(top=100).to_pandas()                   # doctest: +SKIP
>>> ws.report("report.html")                          # doctest: +SKIP

Every question takes ``as_of``, a day at whose end the answer holds; results are Arrow tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jingzhe.app.workspace import Workspace

__version__ = "0.1.0"


def open(home: str | Path | None = None, **settings: Any) -> Workspace:  # noqa: A001 - jingzhe.open reads as it is meant
    """Opens a project; creates it where there is none. See :func:`jingzhe.app.workspace.open_workspace`."""
    from jingzhe.app.workspace import open_workspace  # noqa: PLC0415 - a part may be used without loading all others

    return open_workspace(home, **settings)


__all__ = ["__version__", "open"]
