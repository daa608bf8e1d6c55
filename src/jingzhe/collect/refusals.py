"""Why a live event is refused: the codes of imports, and those that only SDKs can meet."""

from __future__ import annotations

from jingzhe.collect.isolating import UNFORESEEN
from jingzhe.collect.reasons import REASONS
from jingzhe.core.text import Text

EVENT_REASONS: dict[str, Text] = {
    **{
        code: REASONS[code]
        for code in (
            "missing-customer", "junk-customer", "bad-time", "time-out-of-range", "time-in-future", "missing-event",
            "number-out-of-range", "bad-encoding", "bad-json",
        )
    },
    "unknown-call": Text("no call that this protocol has", "未知的调用类型"),
    "bad-field": Text("a field holds something else than it should", "字段类型不符"),
    "too-deep": Text("nested too deeply", "嵌套过深"),
    "too-large": Text("larger than an event may be", "事件过大"),
    "too-many-products": Text("more than a thousand products", "商品数量过多"),
    "too-many-properties": Text("more properties than an event may have", "属性过多"),
    UNFORESEEN: Text("nobody foresaw it; try it again with the next version", "未预见的问题,请在升级后重试"),
    "unknown-source": Text("its source is not known any more", "未知来源"),
}  # fmt: skip
"""Words for every code that a quarantined event can carry."""
