from __future__ import annotations

from typing import Any

import pytest

from jingzhe.collect.columns import Look
from jingzhe.collect.fields import FIELDS, normalised, words
from jingzhe.collect.mapping import Keys, Table, match_columns, own_kind_of
from jingzhe.core.errors import ImportRefusedError

KEY = Look("c", "VARCHAR", filled=100, distinct=50, samples=("a", "b"))
NUMBER = Look("c", "VARCHAR", filled=100, distinct=60, numbers=100, fractions=40, low=1, high=90)
WHOLE = Look("c", "VARCHAR", filled=100, distinct=10, numbers=100, low=1, high=9)
TIME = Look("c", "VARCHAR", filled=100, distinct=90, iso=100)
LOOKS = {"k": KEY, "n": NUMBER, "w": WHOLE, "t": TIME, "-": Look("c", "VARCHAR")}

EXPORTS = {
    "snake": ("order_id k customer_id k ordered_at t product_id k category k quantity w price n discount n",
              "order_id customer_id ordered_at product_id category quantity price discount"),
    "camel": ("orderId k customerId k orderDate t sku k qty w unitPrice n",
              "order_id customer_id ordered_at product_id quantity price"),
    "UCI": ("InvoiceNo k StockCode k Description k Quantity w InvoiceDate t UnitPrice n CustomerID k Country k",
            "order_id product_id product_name quantity ordered_at price customer_id -"),
    "Olist": ("order_id k customer_unique_id k purchase_timestamp t order_delivered_date t payment_value n",
              "order_id customer_id ordered_at - amount"),
    "Taobao": ("订单编号 k 买家会员名 k 订单创建时间 t 订单付款时间 t 买家实际支付金额 n 宝贝标题 k 联系手机 k",
               "order_id customer_id - ordered_at amount product_name -"),
    "till": ("小票号 k 会员卡号 k 销售日期 t 商品条码 k 品名 k 数量 w 实收金额 n",
             "order_id customer_id ordered_at product_id product_name quantity amount"),
    "brackets": ("客户ID（必填） k 下单时间(UTC+8) t 实付金额（元） n", "customer_id ordered_at amount"),
    "behaviour": ("user_id k item_id k category_id k behavior_type k timestamp w",
                  "customer_id product_id category event_name ordered_at"),
    "loose": ("Date t Client No. k Total n", "ordered_at customer_id amount"),
    "not the birthday": ("member_no k birth_date t purchase_date t amount n", "customer_id - ordered_at amount"),
    "nothing told": ("x t y k z n", "ordered_at customer_id amount"),
}  # fmt: skip


@pytest.mark.parametrize(("export", "expected"), EXPORTS.values(), ids=EXPORTS)
def test_columns_are_recognised(export: str, expected: str) -> None:
    told = export.replace("Client No.", "Client_No.").split()
    columns = tuple(name.replace("Client_No.", "Client No.") for name in told[::2])
    seconds = Look("c", "VARCHAR", filled=100, distinct=90, numbers=100, low=1.5e9, high=1.6e9)
    looks = [seconds if name == "timestamp" else LOOKS[kind] for name, kind in zip(columns, told[1::2], strict=True)]
    found = {match.column: name for name, match in match_columns(Table("x.csv", columns, looks), {}, "given").items()}
    assert [found.get(column, "-") for column in columns] == expected.split()


def test_of_two_keys_the_one_that_repeats_more_is_the_customer() -> None:
    order, customer = Look("c0", "BIGINT", filled=100, distinct=95), Look("c1", "BIGINT", filled=100, distinct=30)
    numbers = [Look(look.alias, look.type, look.filled, look.distinct, numbers=100) for look in (order, customer)]
    found = match_columns(Table("x.csv", ("p", "q", "r", "s"), [*numbers, TIME, NUMBER]), {}, "given")
    assert {name: (match.column, match.why) for name, match in found.items()} == {
        "customer_id": ("q", "values"), "order_id": ("p", "values"), "ordered_at": ("r", "values"),
        "amount": ("s", "values"),
    }  # fmt: skip


def test_values_contradict_names() -> None:
    columns = ("customer_id", "order_date", "created", "amount")
    found = match_columns(Table("x.csv", columns, [KEY, NUMBER, TIME, NUMBER]), {}, "given")
    assert found["ordered_at"].column == "created"


def test_an_empty_name_leaves_a_field_out() -> None:
    table = Table("x.csv", ("customer_id", "date", "amount", "discount"), [KEY, TIME, NUMBER, NUMBER])
    assert "discount" not in match_columns(table, {"discount": ""}, "given")
    with pytest.raises(ImportRefusedError, match="No column for amount"):
        match_columns(table, {"amount": "", "price": ""}, "given")


def test_headers_are_normalised() -> None:
    assert words("CustomerID") == ("customer", "id")
    assert words("Order Date (UTC)") == ("order", "date")
    assert {normalised(name) for name in ("customer_id", "Customer Id", "CUSTOMER-ID", "customerId", "客户 ID")} == {
        "customerid", "客户id",
    }  # fmt: skip
    assert normalised("（单价）") == "单价"


def test_no_name_means_two_fields() -> None:
    names = [name for field in FIELDS for name in (*field.names, *field.hints)]
    assert len(names) == len(set(names))
    assert all(normalised(name) == name for name in names)


PHONE = Look("c", "BIGINT", filled=100, distinct=45, numbers=100, phones=100, samples=("13912345678",))
MAIL = Look("c", "VARCHAR", filled=40, distinct=20, emails=40, samples=("li.lei@example.cn",))
SHOPS = Look("c", "VARCHAR", filled=100, distinct=3, phones=100)
KINDS = frozenset({"phone", "email", "unionid", "openid", "member", "till_card"})
FURTHER = {
    "English": (("customer_id", KEY, "Mobile No.", PHONE, "E-mail Address", MAIL, "date", TIME, "amount", NUMBER),
                {"key.phone": "Mobile No.", "key.email": "E-mail Address"}),
    "Chinese": (("客户编号", KEY, "手机号", PHONE, "会员卡号", KEY, "unionid", KEY, "openid", KEY, "日期", TIME,
                 "金额", NUMBER),
                {"key.phone": "手机号", "key.till_card": "会员卡号", "key.unionid": "unionid", "key.openid": "openid"}),
    "the shop's own telephone": (("customer_id", KEY, "phone", SHOPS, "date", TIME, "amount", NUMBER), {}),
    "no telephone in it": (("customer_id", KEY, "phone", KEY, "date", TIME, "amount", NUMBER), {}),
    "the receiver's": (("买家会员名", KEY, "收货人手机", PHONE, "联系电话", PHONE, "date", TIME, "amount", NUMBER), {}),
    "nobody else to be the customer": (("手机号", PHONE, "date", TIME, "amount", NUMBER), {}),
    "a list of members": (("会员编号", KEY, "手机号", PHONE, "积分", NUMBER, "注册时间", TIME),
                          {"key.phone": "手机号"}),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), FURTHER.values(), ids=FURTHER)
def test_further_keys_are_guessed_by_name_and_content(told: tuple[Any, ...], expected: dict[str, str]) -> None:
    table = Table("x.csv", told[::2], told[1::2])
    found = match_columns(table, {}, "given", Keys(KINDS))
    assert {name: match.column for name, match in found.items() if name.startswith("key.")} == expected
    assert ("ordered_at" in found) == ("积分" not in told)
    assert not {sample for match in found.values() for sample in match.samples} & {"li.lei@example.cn"}


OWN = {
    "telephone": (("手机号", PHONE, "date", TIME, "amount", NUMBER), "phone"),
    "another word for it": (("联系电话", PHONE, "date", TIME, "amount", NUMBER), "phone"),
    "e-mail": (("E-mail Address", MAIL, "date", TIME, "amount", NUMBER), "email"),
    "a customer's number beside it": (("customer_id", KEY, "手机号", PHONE, "date", TIME, "amount", NUMBER), ""),
    "a header that does not say so": (("customer_id", PHONE, "date", TIME, "amount", NUMBER), ""),
    "values that are none": (("手机号", KEY, "date", TIME, "amount", NUMBER), ""),
}


@pytest.mark.parametrize(("told", "expected"), OWN.values(), ids=OWN)
def test_what_the_customers_own_keys_are(told: tuple[Any, ...], expected: str) -> None:
    table = Table("x.csv", told[::2], told[1::2])
    found = match_columns(table, {}, "given", Keys(KINDS))
    assert own_kind_of(table, found, Keys(KINDS)) == expected
    assert own_kind_of(table, found, Keys(KINDS, own="member")) == "member"
    assert own_kind_of(table, found, Keys()) == ""
    samples = set(found["customer_id"].samples)
    assert bool(samples & {"99999999999", "xx.xxx@xxxxxxx.xx"}) == bool(expected)
    assert bool(expected) <= samples.isdisjoint({"13912345678", "li.lei@example.cn"})
    hidden = match_columns(table, {}, "given", Keys(KINDS, own="id_card", hidden=True))
    assert set(hidden["customer_id"].samples).isdisjoint({"13912345678", "li.lei@example.cn"})


def test_a_further_key_can_be_given_and_refused() -> None:
    columns = ("customer_id", "phone", "cell", "date", "amount")
    table = Table("x.csv", columns, [KEY, PHONE, PHONE, TIME, NUMBER])
    given = match_columns(table, {"key.phone": "cell"}, "given", Keys(KINDS))
    assert (given["key.phone"].column, given["key.phone"].why) == ("cell", "given")
    assert "key.phone" not in match_columns(table, {"key.phone": ""}, "given", Keys(KINDS))
    assert "key.phone" not in match_columns(table, {}, "given")
    with pytest.raises(ImportRefusedError, match="given for the key phone, is not in the file"):
        match_columns(table, {"key.phone": "fon"}, "given", Keys(KINDS))


def test_orders_without_a_time_are_no_list_of_people() -> None:
    table = Table("x.csv", ("customer_id", "phone", "order_id", "amount"), [KEY, PHONE, KEY, NUMBER])
    with pytest.raises(ImportRefusedError, match="No column for time"):
        match_columns(table, {}, "given", Keys(KINDS))
    assert list(match_columns(table, {}, "given", Keys(KINDS, people=True))) == ["customer_id", "key.phone"]
