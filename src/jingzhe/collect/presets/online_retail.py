"""UCI Online Retail: two years of a British gift wholesaler.

Chen, D. (2015). Online Retail. UCI Machine Learning Repository. https://doi.org/10.24432/C5BW33
Cancellations are invoices of their own: their number begins with C, their quantities are negative.
"""

from __future__ import annotations

from jingzhe.collect.presets.preset import Preset
from jingzhe.core.text import Text

PRESET = Preset(
    "online_retail",
    Text("UCI Online Retail, as downloaded", "UCI Online Retail 原始文件"),
    {
        "customer_id": "CustomerID",
        "order_id": "InvoiceNo",
        "ordered_at": "InvoiceDate",
        "product_id": "StockCode",
        "product_name": "Description",
        "quantity": "Quantity",
        "price": "UnitPrice",
        "amount": "",
        "discount": "",
        "category": "",
    },
)
