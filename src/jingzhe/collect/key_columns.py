"""Columns that hold further keys of the customer: telephone, e-mail, card, unionid … beside the customer's number.

A mapping calls such a field ``key.`` and the kind of key: ``key.phone``. A column is guessed to be one only where its
header says so, its values look like it, and they differ from customer to customer: the shop's own telephone, or a
column that says whose parcel it is, must not become the customer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from jingzhe.collect.columns import Look
from jingzhe.collect.fields import normalised

PREFIX = "key."

NAMES: Mapping[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "phone": """
            phone phoneno phonenumber mobile mobileno mobilenumber mobilephone cellphone telephone tel telno
            customerphone memberphone 手机 手机号 手机号码 电话 电话号码 会员手机 会员手机号 客户手机 客户手机号
        """,
        "email": """
            email emailaddress mail mailaddress customeremail memberemail 邮箱
            邮箱地址 电子邮箱 电子邮件 会员邮箱 客户邮箱
        """,
        "unionid": "unionid wechatunionid wxunionid 微信unionid",
        "openid": "openid wechatopenid wxopenid 微信openid",
        "member": "memberid memberno membernumber membercode 会员id 会员号 会员编号",
        "till_card": "tillcard membercard membercardno loyaltycard loyaltycardno 会员卡 会员卡号",
    }.items()
}
"""Headers, normalised, that say of whose kind the customer's key is. Not the receiver's telephone, not a bank card."""

_ENOUGH = 0.5
_OWN: Mapping[str, frozenset[str]] = {
    "phone": NAMES["phone"] | {"联系电话", "buyerphone", "buyermobile", "买家手机", "买家手机号"},
    "email": NAMES["email"] | {"buyeremail", "买家邮箱"},
}
"""Headers that say that customers are known by nothing but such a key."""


def is_key(name: str) -> bool:
    """Tells whether a field is a further key of the customer."""
    return name.startswith(PREFIX) and len(name) > len(PREFIX)


def field_of(kind: str) -> str:
    """Returns the field of a kind of key."""
    return PREFIX + kind


def kind_of(name: str) -> str:
    """Returns the kind of key of a field."""
    return name.removeprefix(PREFIX)


def further_kinds(columns: Mapping[str, str]) -> list[str]:
    """Returns the kinds of further keys that a mapping names a column for."""
    return [kind_of(name) for name, column in columns.items() if is_key(name) and column]


def guessed(header: str, look: Look, customer: Look, kinds: Set[str]) -> str | None:
    """Returns the kind of key that a column holds, None where it is not certain.

    Args:
        header: its name.
        look: its values.
        customer: the values of the customer's column.
        kinds: those that may be guessed.
    """
    name = normalised(header)
    kind = next((kind for kind, names in NAMES.items() if name in names), None)
    if kind is None or kind not in kinds or not look.filled or look.is_native_time:
        return None
    return kind if _fit(kind, look) and _are_own(look, customer) else None


def own_kind(header: str, look: Look, kinds: Set[str]) -> str:
    """Returns the personal kind that the customers' own keys are of, empty where header and values do not say one.

    Args:
        header: name of the customers' column.
        look: its values.
        kinds: those that may be guessed.
    """
    name = normalised(header)
    kind = next((kind for kind, names in _OWN.items() if name in names and kind in kinds), "")
    return kind if kind and look.filled and _fit(kind, look) else ""


def _fit(kind: str, look: Look) -> bool:
    fitting = {"phone": look.phones, "email": look.emails}.get(kind, look.filled if not look.fractions else 0)
    return fitting >= _ENOUGH * look.filled


def _are_own(look: Look, customer: Look) -> bool:
    """Tells whether values differ from customer to customer, as far as customers repeat."""
    return not customer.filled or look.distinct / look.filled >= _ENOUGH * customer.distinct / customer.filled
