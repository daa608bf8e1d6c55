"""Money and products in the properties of an event: Segment's e-commerce specification v2, and the usual other names.

Source: https://segment.com/docs/connections/spec/ecommerce/v2/.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jingzhe.collect.wire.call import NO_MONEY, BadCallError, Line, Money
from jingzhe.collect.wire.values import currency, size, text

_MOST_LINES = 1000


class Order(Struct, gc=False):
    """Properties that say something of money or goods; anything may stand in them."""

    order_id: Any = None
    orderId: Any = None  # noqa: N815
    checkout_id: Any = None
    revenue: Any = None
    total: Any = None
    value: Any = None
    subtotal: Any = None
    order_amount: Any = None
    pay_amount: Any = None
    amount: Any = None
    shipping: Any = None
    tax: Any = None
    discount: Any = None
    currency: Any = None
    products: Any = None
    product_id: Any = None
    productId: Any = None  # noqa: N815
    sku: Any = None
    category: Any = None
    quantity: Any = None
    price: Any = None


def money_of(order: Order) -> Money:
    """Returns what properties say of money and goods.

    Net revenue is, in this order: ``revenue`` (which Segment defines without tax and shipping), ``subtotal``,
    the sums that other systems call ``order_amount``, ``pay_amount`` and ``amount``, ``total`` less shipping and tax,
    ``value``, and last the sum of the lines less the discount.

    Raises:
        BadCallError: a number is beyond a thousand billion, or there are more than a thousand products.
    """
    lines = () if order.products is None and _names_no_product(order) else _lines(order)
    unnamed = order.order_id is None and order.orderId is None
    order_id = None if unnamed else text(order.order_id) or text(order.orderId)
    sums = _says_sum(order)
    if not lines and order_id is None and not sums:
        return NO_MONEY
    discount = size(order.discount)
    quantity = _quantity(lines)
    revenue = _revenue(order) if sums else None
    if revenue is None and lines:
        revenue = _of_lines(lines, discount)
    if quantity is None:
        quantity = size(order.quantity)
    code = None if order.currency is None else currency(order.currency)
    return Money(order_id, revenue, discount, quantity, code, lines)


def _names_no_product(order: Order) -> bool:
    return order.product_id is None and order.productId is None and order.sku is None


def _says_sum(order: Order) -> bool:
    return (
        order.revenue is not None or order.total is not None or order.value is not None or order.subtotal is not None
        or order.order_amount is not None or order.pay_amount is not None or order.amount is not None
    )  # fmt: skip


def _quantity(lines: tuple[Line, ...]) -> float | None:
    """Returns how many units the lines hold, None where none of them says."""
    if len(lines) == 1:
        return lines[0].quantity
    quantities = [line.quantity for line in lines if line.quantity is not None]
    return sum(quantities) if quantities else None


def _sums(order: Order) -> tuple[Any, ...]:
    return (
        order.revenue, order.subtotal, order.order_amount, order.pay_amount, order.amount, order.total, order.value,
    )  # fmt: skip


def _revenue(order: Order) -> float | None:
    for value in _sums(order)[:5]:
        found = size(value)
        if found is not None:
            return found
    total = size(order.total)
    if total is not None:
        return max(0.0, total - (size(order.shipping) or 0.0) - (size(order.tax) or 0.0))
    return size(order.value)


def _of_lines(lines: tuple[Line, ...], discount: float | None) -> float | None:
    """Returns the sum of the lines less the discount; None where a line has no price."""
    total = 0.0
    for line in lines:
        if line.price is None:
            return None
        total += line.price * (1.0 if line.quantity is None else line.quantity)
    return max(0.0, total - (discount or 0.0))


def _lines(order: Order) -> tuple[Line, ...]:
    products = order.products
    if products is None:
        product = text(order.product_id) or text(order.productId) or text(order.sku)
        if product is None:
            return ()
        category = None if order.category is None else text(order.category)
        return (Line(product, category, size(order.quantity), size(order.price), None),)
    if not isinstance(products, list):
        raise BadCallError("bad-field", "products", "it has to be a list")
    if len(products) > _MOST_LINES:
        raise BadCallError("too-many-products", "products", f"{len(products)} products")
    return tuple(_line(product, place) for place, product in enumerate(products))


def _line(product: Any, place: int) -> Line:
    if not isinstance(product, dict):
        raise BadCallError("bad-field", f"products[{place}]", "it has to be an object")
    name = text(product.get("product_id")) or text(product.get("productId")) or text(product.get("id"))
    quantity = size(product.get("quantity"))
    return Line(
        name or text(product.get("sku")), text(product.get("category")), 1.0 if quantity is None else quantity,
        size(product.get("price")), size(product.get("discount")),
    )  # fmt: skip
