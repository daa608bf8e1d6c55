"""Why a row is refused: a small closed set of stable codes, with words for people."""

from __future__ import annotations

from jingzhe.core.text import Text

REASONS: dict[str, Text] = {
    "missing-customer": Text("no customer", "缺少客户"),
    "junk-customer": Text("a placeholder, not a customer", "客户为占位值"),
    "missing-time": Text("no time", "缺少时间"),
    "bad-time": Text("the time cannot be read", "时间无法识别"),
    "time-out-of-range": Text("before 1970 or after 9999", "时间超出范围"),
    "time-in-future": Text("more than a day in the future", "时间在未来"),
    "missing-amount": Text("no amount, and no quantity with a price", "缺少金额"),
    "bad-number": Text("the number cannot be read", "数字无法识别"),
    "number-out-of-range": Text("the number is beyond a thousand billion", "数字超出范围"),
    "missing-event": Text("no name of an event", "缺少事件名称"),
    "wrong-columns": Text("more or fewer columns than the header", "列数与表头不符"),
    "bad-quotes": Text("a quote that is not closed or not doubled", "引号不匹配"),
    "bad-encoding": Text("bytes that are no text in the file's encoding", "编码无法识别"),
    "bad-json": Text("the line is no JSON object", "不是 JSON 对象"),
    "line-too-long": Text("longer than 4 MiB", "行过长"),
    "erased": Text("the customer was erased; the row was not kept", "客户已删除,未保留该行"),
}
"""Words for every code that the table ``quarantine`` can carry in ``reason``."""

ERASED = "erased"
"""Code under which rows of people who were erased are counted; they are in no quarantine."""

ENGINE_REASONS: dict[str, str] = {
    "TOO MANY COLUMNS": "wrong-columns",
    "MISSING COLUMNS": "wrong-columns",
    "UNQUOTED VALUE": "bad-quotes",
    "INVALID ENCODING": "bad-encoding",
    "LINE SIZE OVER MAXIMUM": "line-too-long",
}
"""What the engine's CSV reader calls a line that is no row, and the code it gets here."""

JUNK_CUSTOMERS: tuple[str, ...] = (
    "0", "-", "--", "-1", ".", "?", "null", "none", "nan", "n/a", "na", "#n/a", "nil", "undefined",
    "unknown", "anonymous", "guest", "(null)", "<null>", "\\n", "无", "空", "未知", "匿名", "散客", "游客", "无会员",
)  # fmt: skip
"""Values that tills and exports write where they do not know the customer, in lower case."""


def junk_spellings() -> tuple[str, ...]:
    """Returns :data:`JUNK_CUSTOMERS` as people write them: lower, upper and title case."""
    return tuple(dict.fromkeys(form for word in JUNK_CUSTOMERS for form in (word, word.upper(), word.title())))
