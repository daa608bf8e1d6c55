"""A file of order lines, as a shop would export it, for imports of any length."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from jingzhe.core.errors import SettingError
from jingzhe.simulate.business import Business
from jingzhe.simulate.catalogue import catalogue_of
from jingzhe.simulate.drawing import draw_orders, order_numbers
from jingzhe.simulate.people import BLOCK_PEOPLE
from jingzhe.simulate.season import first_second
from jingzhe.simulate.tables import customer_keys, order_ids

SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "order_id": pa.string(),
        "ordered_at": pa.timestamp("s"),
        "product_id": pa.string(),
        "category": pa.string(),
        "quantity": pa.int64(),
        "price": pa.float64(),
        "discount": pa.float64(),
    }
)


def orders_csv(business: Business, path: Path | str, *, lines: int | None = None) -> int:
    """Writes the lines of the business's orders, the same ones that ``draw`` gives, as CSV with a header.

    ``ordered_at`` is in UTC without a zone, ``price`` is the list price of a unit, ``discount`` that of the
    line. Rows are ordered by customer, and by time for each. Refunds are left out.

    Args:
        business: what to draw.
        path: the file, which is overwritten.
        lines: stop after this many; people beyond ``business.people`` are drawn if it takes them. By default
            the orders of all people are written and no more.

    Returns:
        How many lines were written, without the header.

    Raises:
        SettingError: ``lines`` is below 1.
    """
    if lines is not None and lines < 1:
        raise SettingError("a file has at least one line", field="lines", value=lines)
    written = 0
    # No value holds a comma or a quotation mark.
    options = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
    with pa.csv.CSVWriter(str(path), SCHEMA, write_options=options) as writer:
        for block in count():
            people = business.people - block * BLOCK_PEOPLE if lines is None else BLOCK_PEOPLE
            if people <= 0 or written == lines:
                return written
            rows = order_lines(business, block, people)
            writer.write_table(rows if lines is None else rows.slice(0, lines - written))
            written += len(rows) if lines is None else min(len(rows), lines - written)
    return written


def order_lines(business: Business, block: int, people: int = BLOCK_PEOPLE) -> pa.Table:
    """Returns the order lines of the first ``people`` of ``block``."""
    catalogue = catalogue_of(business)
    drawn, _, orders, lines = draw_orders(business, block)
    kept = orders.person[lines.order] < people
    order, product = lines.order[kept], lines.product[kept]
    ids = drawn.ids[orders.person]
    rows = pa.array(order)
    second = orders.second[order] + first_second(business)
    return pa.table(
        [
            customer_keys(drawn.ids).take(pa.array(orders.person[order])),
            order_ids(ids, order_numbers(orders)).take(rows),
            pa.array(second).view(pa.timestamp("s")),
            catalogue.ids.take(pa.array(product)),
            catalogue.names.take(pa.array(catalogue.category[product])),
            pa.array(lines.quantity[kept]),
            pa.array(lines.price_cents[kept] / 100),
            pa.array(lines.discount_cents[kept] / 100),
        ],
        schema=SCHEMA,
    )
