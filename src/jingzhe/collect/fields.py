"""The fields that an import looks for, and the names under which people keep them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from jingzhe.core.text import Text

FieldKind = Literal["id", "text", "time", "number"]


@dataclass(frozen=True)
class Field:
    """One field of a row.

    Args:
        name: what mappings call it.
        kind: how its values are read.
        doc: what it means.
        names: headers that mean it for certain, normalised by :func:`normalised`.
        hints: headers that mean it where nothing better is found.
    """

    name: str
    kind: FieldKind
    doc: Text
    names: tuple[str, ...]
    hints: tuple[str, ...] = ()


def _field(name: str, kind: FieldKind, doc: Text, names: str, hints: str = "") -> Field:
    return Field(name, kind, doc, tuple(names.split()), tuple(hints.split()))


FIELDS: tuple[Field, ...] = (
    _field(
        "customer_id",
        "id",
        Text("who bought", "客户"),
        """
        customerid customer customerno customernumber customerkey customercode custid custno clientid buyerid
        shopperid userid memberid memberno membercode householdid accountid personid visitorid cardno
        membercard customeruniqueid contactid uid 客户id 客户 客户编号 客户号 客户代码 顾客id 顾客编号 会员id
        会员号 会员编号 会员卡号 会员 用户id 用户编号 用户 买家id 买家 买家账号 买家会员名 买家昵称 卡号
        """,
        """
        手机号 手机号码 手机 联系电话 会员手机号 phone mobile phonenumber email buyer member user client
        shopper household openid unionid id
        """,
    ),
    _field(
        "order_id",
        "id",
        Text("number of the order", "订单号"),
        """
        orderid order orderno ordernumber ordercode invoiceid invoiceno invoice invoicenumber transactionid
        transactionno transid basketid receiptid receiptno ticketid salesid billno tradeno tid
        salesordernumber 订单号 订单编号 订单id 订单 单号 交易号 交易编号 交易单号 小票号 流水号 发票号
        主订单编号
        """,
        """
        basket receipt ticket transaction reference 单据号
        """,
    ),
    _field(
        "ordered_at",
        "time",
        Text("when", "时间"),
        """
        orderedat orderdate ordertime orderdatetime orderts purchasedate purchasetime purchasedat invoicedate
        transactiondate transactiontime transactiontimestamp transdate paidat paymentdate paymenttime paytime
        saledate salesdate datetime timestamp eventtime eventtimestamp eventdate orderpurchasetimestamp
        occurredat 下单时间 下单日期 付款时间 支付时间 订单付款时间 订单创建时间 订单日期 订单时间 交易时间
        交易日期 购买时间 购买日期 成交时间 消费时间 消费日期 销售日期 事件时间 发生时间
        """,
        """
        date time ts day createdat createdtime creationdate created 日期 时间 创建时间
        """,
    ),
    _field(
        "product_id",
        "id",
        Text("number of the product", "商品编码"),
        """
        productid product productno productcode productkey itemid itemno itemcode item sku skuid stockcode
        articleid articleno goodsid upc ean asin spu spuid 商品编码 商品id 商品编号 商品代码 货号 产品编号
        产品id 商家编码 sku编码 条码 商品条码
        """,
        """
        article goods 商品 产品
        """,
    ),
    _field(
        "product_name",
        "text",
        Text("name of the product", "商品名称"),
        """
        productname itemname goodsname producttitle 商品名称 商品标题 产品名称 宝贝标题 品名
        """,
        """
        description title 名称
        """,
    ),
    _field(
        "category",
        "text",
        Text("category of the product", "品类"),
        """
        category productcategory categoryname categoryid producttype itemcategory categorycode department
        品类 类目 商品类目 商品分类 商品类别 分类 类别 产品类别 一级类目
        """,
        """
        type family class group 大类 品牌 brand
        """,
    ),
    _field(
        "quantity",
        "number",
        Text("units, negative for returns", "数量"),
        """
        quantity qty units itemquantity orderquantity quantityordered 数量 购买数量 商品数量 件数 购买件数
        销量 销售数量 订购数量
        """,
        """
        count pieces n num volume
        """,
    ),
    _field(
        "price",
        "number",
        Text("price of one unit before discount", "单价"),
        """
        price unitprice itemprice priceperunit unitcost sellingprice listprice 商品单价 单价 价格 售价
        商品价格 销售单价
        """,
        """
        rate 原价 标价
        """,
    ),
    _field(
        "amount",
        "number",
        Text("net amount of the row, after discount", "实付金额"),
        """
        amount totalamount orderamount netamount paidamount salesamount salesvalue revenue ordertotal total
        totalprice netsales sales linetotal payment paymentvalue paymentamount grandtotal spend totalspent
        monetary ordervalue transactionamount pricetotal 实付金额 实付 付款金额 支付金额 实收金额
        实际支付金额 买家实际支付金额 订单金额 交易金额 消费金额 成交金额 金额 总金额 销售额 总价 应付金额
        合计
        """,
        """
        value sum cost amt 小计
        """,
    ),
    _field(
        "discount",
        "number",
        Text("discount on the row, as an amount", "优惠"),
        """
        discount discountamount discountvalue discounts promotionamount couponamount totaldiscount 优惠
        优惠金额 折扣金额 折扣 减免金额 优惠券金额 促销优惠
        """,
        """
        rebate coupon
        """,
    ),
    _field(
        "currency",
        "text",
        Text("ISO 4217 code", "币种"),
        """
        currency currencycode 币种 货币 币别
        """,
    ),
    _field(
        "event_name",
        "text",
        Text("what happened, in the source's words", "事件"),
        """
        event eventname eventtype behavior behaviour behaviortype behaviourtype action actiontype activity
        activitytype 事件 事件名称 事件名 事件类型 行为 行为类型 动作 操作
        """,
    ),
    _field(
        "quarantined",
        "text",
        Text("the refused row that this one mends", "所修复的隔离行"),
        """
        jingzherow
        """,
    ),
)

BY_NAME = {field.name: field for field in FIELDS}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BRACKETS = re.compile(r"[(（\[【][^)）\]】]*[)）\]】]")
_SEPARATORS = re.compile(r"[\W_]+")


def words(header: str) -> tuple[str, ...]:
    """Returns the words of a header in lower case: ``CustomerID``, ``customer_id`` and ``Customer Id`` alike.

    Example:
        >>> words("CustomerID"), words("Order Date (UTC)"), words("订单编号")
        (('customer', 'id'), ('order', 'date'), ('订单编号',))
    """
    plain = unicodedata.normalize("NFKC", header).strip().lstrip("\ufeff")
    split = _CAMEL.sub(" ", _BRACKETS.sub(" ", plain) if _BRACKETS.sub("", plain).strip() else plain)
    return tuple(word for word in _SEPARATORS.split(split.lower()) if word)


def normalised(header: str) -> str:
    """Returns a header without case, spaces, punctuation and units in brackets."""
    return "".join(words(header))
