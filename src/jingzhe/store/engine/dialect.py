"""DuckDB's dialect into Spark's: sqlglot translates, and one table says what it would get wrong.

Where the two engines give the same name to different things, the types of a step's columns decide (a day less a day is
a number, a number cast to a whole one is rounded). They are those that Spark itself found for the relations a step
reads, and sqlglot carries them through the step. Where a type that decides cannot be told the step is refused: a guess
would be a wrong figure on one engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from jingzhe.core.errors import EngineError

Node = exp.Expression
Columns = Mapping[str, str]
"""Types of a relation's columns by name, in DuckDB's words."""

_WHOLE = exp.DataType.INTEGER_TYPES
_REAL = exp.DataType.FLOAT_TYPES
_SMALL = 2**31
_TYPE = exp.DataType.Type
_LONG = (_TYPE.BIGINT, _TYPE.INT128, _TYPE.DOUBLE)


@dataclass(frozen=True)
class Divergence:
    """One thing that Spark would do otherwise.

    Args:
        what: as DuckDB writes it.
        why: what Spark would do with it.
        kind: kind of the nodes concerned.
        rewrite: gives the node that Spark understands in the same way, or the node itself where it is not meant.
    """

    what: str
    why: str
    kind: type[Node]
    rewrite: Callable[[Any], Node]


@dataclass(frozen=True)
class Known:
    """What a statement may read.

    Args:
        columns: types of the columns of every relation, by its name.
        places: under which name the engine knows each relation.
    """

    columns: Mapping[str, Columns]
    places: Mapping[str, str]


def translated(sql: str, known: Known, values: Mapping[str, Any], *, sealed: bool = False) -> str:
    """Returns one SELECT in Spark's dialect.

    Args:
        sql: the SELECT in DuckDB's dialect.
        known: the relations that it may read.
        values: bound by name; only their types are looked at.
        sealed: True for SQL that somebody else wrote: it may read the relations known and nothing else.

    Raises:
        EngineError: it cannot be translated, or is not one SELECT; says what to write otherwise.
    """
    try:
        statements = [statement for statement in parse(sql, read="duckdb") if statement is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise EngineError("Only one SELECT is allowed here", hint=f"SQL:\n{sql}")
        tree: Any = statements[0]
        if sealed:
            _check_sealed(tree, known)
        tree = tree.transform(_typed_value, values)
        schema: dict[str, object] = {name: dict(columns) for name, columns in known.columns.items()}
        tree = qualify(tree, schema=schema, dialect="duckdb", validate_qualify_columns=False)
        tree = annotate_types(tree, schema=schema, dialect="duckdb")
        tree = _rewritten(tree)
        _renamed(tree, known.places)
        return str(tree.sql("spark"))
    except SqlglotError as error:
        raise EngineError(f"The query cannot be translated for Spark: {error}", hint=f"SQL:\n{sql}") from error


def _check_sealed(tree: Node, known: Known) -> None:
    allowed = {*known.places, *(cte.alias_or_name for cte in tree.find_all(exp.CTE))}
    for table in tree.find_all(exp.Table):
        if table.name.lower() not in allowed or table.db or not isinstance(table.this, exp.Identifier):
            there = ", ".join(sorted(known.places))
            raise EngineError(f"There is no table {table.name!r}", hint=f"There are: {there}.")
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() not in _CALLS:
            raise EngineError(
                f"The function {call.name!r} is not available on Spark", hint="Use one that both engines have."
            )


def _typed_value(node: Node, values: Mapping[str, Any]) -> Node:
    """Says of which type a bound value is, so that its arithmetic is understood."""
    if not isinstance(node, exp.Placeholder) or isinstance(node.parent, exp.Cast):
        return node
    kind = _type_of(values.get(node.name))
    return exp.cast(node.copy(), kind, dialect="duckdb") if kind else node


def _type_of(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return "INTEGER" if -_SMALL <= value < _SMALL else "BIGINT"
    kinds = ((bool, "BOOLEAN"), (float, "DOUBLE"), (str, "VARCHAR"), (datetime, "TIMESTAMPTZ"), (date, "DATE"))
    return next((kind for python, kind in kinds if isinstance(value, python)), None)


def _rewritten(tree: Any) -> Any:
    """Applies the table of divergences to every node, inner ones first, so that outer ones see what they became."""
    for node in reversed(list(tree.walk())):
        for one in _BY_KIND.get(type(node), ()):
            new = one.rewrite(node)
            if new is not node:
                new.type = new.type or node.type
                if node is tree:
                    tree = new
                else:
                    node.replace(new)
                break
    return tree


def _renamed(tree: Node, places: Mapping[str, str]) -> None:
    defined = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if table.name in places and table.name not in defined:
            table.set("this", exp.to_identifier(places[table.name], quoted=True))


# ---- the rewrites


def _call(name: str, *arguments: Node, kind: str | None = None) -> Node:
    call = exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])
    if kind:
        call.type = exp.DataType.build(kind, dialect="duckdb")
    return call


def _is(node: Node, *kinds: Any) -> bool:
    return node.type is not None and node.type.is_type(*kinds)


def _unknown(node: Node) -> bool:
    return node.type is None or node.is_type(exp.DataType.Type.UNKNOWN)


def _undecided(node: Node) -> EngineError:
    return EngineError(
        f"The query cannot be translated for Spark: the type of {node.sql('duckdb')[:200]!r} is not known",
        hint="Say it with CAST(… AS …).",
    )


def _difference(node: exp.Sub) -> Node:
    left, right = node.this.unnest(), node.expression.unnest()
    if _is(left, _TYPE.DATE) and _is(right, _TYPE.DATE):
        return _call("datediff", left, right, kind="INTEGER")
    if _unknown(left) and _unknown(right):
        raise _undecided(node)
    return _shifted(node)


def _shifted(node: exp.Add | exp.Sub) -> Node:
    """A day plus a BIGINT: Spark wants an INTEGER."""
    if _is(node.this.unnest(), _TYPE.DATE) and _is(node.expression.unnest(), *_LONG):
        days = exp.cast(node.expression.copy(), "INT")
        return type(node)(this=node.this.copy(), expression=days)
    return node


def _cast(node: exp.Cast) -> Node:
    inner, to = node.this, node.to
    if isinstance(inner, exp.Explode):
        spread = exp.DataType(this=exp.DataType.Type.ARRAY, expressions=[to.copy()], nested=True)
        return exp.Explode(this=exp.Cast(this=inner.this.copy(), to=spread))
    if to.this not in _WHOLE:
        return node
    source = inner.unnest()
    if _unknown(source) and not isinstance(source, exp.Placeholder | exp.Null):
        raise _undecided(node)
    if _is(source, *_REAL):
        return exp.Cast(this=_call("rint", inner), to=to.copy())
    if _is(source, _TYPE.DECIMAL):
        return exp.Cast(this=_call("round", inner), to=to.copy())
    return node


def _number(node: exp.Literal) -> Node:
    if node.is_string or not any(mark in node.name.lower() for mark in ".e"):
        return node
    # The places of quantiles stay as they are: Spark wants constants of one kind there.
    return exp.Literal(this=f"{node.name}D", is_string=False)


def _rounded(node: exp.Round) -> Node:
    digits = node.args.get("decimals")
    if digits is None or not _is(node.this, *_REAL):
        return node
    power = exp.Literal(this=f"{float(10 ** int(digits.name))!r}D", is_string=False)
    product = exp.Mul(this=exp.Paren(this=node.this.copy()), expression=power)
    return exp.Paren(this=exp.Div(this=exp.Round(this=product), expression=power.copy()))


def _united(node: exp.Union) -> Node:
    if not node.args.get("by_name"):
        return node
    left, right = node.this, node.expression
    names = list(dict.fromkeys([*left.named_selects, *right.named_selects]))
    sides = [_aligned(side, names) for side in (left, right)]
    united: Node = exp.Union(this=sides[0], expression=sides[1], distinct=node.args.get("distinct"))
    for part in ("with_", "with", "order", "limit"):
        if node.args.get(part):
            united.set(part, node.args[part].copy())
    return united


def _aligned(side: Any, names: list[str]) -> Node:
    have = set(side.named_selects)
    listed = [exp.column(name, quoted=True) if name in have else exp.alias_(exp.null(), name) for name in names]
    return exp.select(*listed).from_(side.copy().subquery("united"))


def _latest(name: str) -> Callable[[Any], Node]:
    """``arg_max`` leaves out rows whose argument is null; ``max_by`` does not."""

    def rewrite(node: exp.ArgMax | exp.ArgMin) -> Node:
        filled = exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null()))
        parent = node.parent
        if isinstance(parent, exp.Filter):
            raise _undecided(parent)
        return exp.Filter(this=_call(name, node.this, node.expression), expression=exp.Where(this=filled))

    return rewrite


def _hashed(node: exp.Anonymous) -> Node:
    if node.name.lower() != "hash":
        return node
    parts = [part for argument in node.expressions for part in (argument, exp.Is(this=argument, expression=exp.Null()))]
    return _call("xxhash64", *parts, kind="UBIGINT")


def _sum(node: exp.Sum) -> Node:
    if _is(node.this, _TYPE.UBIGINT):
        return exp.Sum(this=exp.cast(node.this.copy(), "DECIMAL(20, 0)"))
    return node


def _shift(node: exp.BitwiseRightShift) -> Node:
    if _is(node.this.unnest(), _TYPE.UBIGINT):
        return _call("shiftrightunsigned", node.this, node.expression, kind="BIGINT")
    return node


def _anonymous(node: exp.Anonymous) -> Node:
    make = _CALLS.get(node.name.lower())
    return make(node.expressions) if make else node


def _json_text(node: exp.JSONExtractScalar) -> Node:
    """A member by its JSON pointer; Spark's paths cannot name every member."""
    path = node.expression
    pointer = exp.Literal.string(path.sql("duckdb").strip("'")) if isinstance(path, exp.JSONPath) else path
    member = _call("substring", pointer, exp.Literal.number(2))
    for old, new in (("~1", "/"), ("~0", "~")):
        member = _call("replace", member, exp.Literal.string(old), exp.Literal.string(new))
    return _call("try_element_at", _members(node.this), member, kind="VARCHAR")


def _json_kind(node: exp.JSONType) -> Node:
    keys = exp.Not(this=exp.Is(this=_call("json_object_keys", node.this), expression=exp.Null()))
    return exp.Case(ifs=[exp.If(this=keys, true=exp.Literal.string("OBJECT"))])


def _members(json: Node) -> Node:
    return _call("from_json", json, exp.Literal.string("MAP<STRING, STRING>"))


_CALLS: Mapping[str, Callable[[list[Node]], Node]] = {
    "epoch_us": lambda a: _call("unix_micros", exp.cast(a[0].copy(), "TIMESTAMPTZ", dialect="duckdb"), kind="BIGINT"),
    "make_timestamptz": lambda a: _call("timestamp_micros", a[0], kind="TIMESTAMPTZ"),
    "timezone": lambda a: _call("to_utc_timestamp", a[1], a[0], kind="TIMESTAMPTZ"),
    "list_position": lambda a: _call("array_position", a[0], a[1], kind="BIGINT"),
    "list_slice": lambda a: _call("slice", a[0], a[1], a[2]),
    "json_valid": lambda a: exp.Not(this=exp.Is(this=_call("try_parse_json", a[0]), expression=exp.Null())),
}
"""Functions of DuckDB that sqlglot hands on by name, and what they are called here."""


def _named(name: str, *, kind: str | None = None) -> Callable[[Any], Node]:
    return lambda node: _call(name, node.this, *([node.expression] if node.expression else []), kind=kind)


EXCEPTIONS: tuple[Divergence, ...] = (
    Divergence("day - day", "an interval, not a number of days", exp.Sub, _difference),
    Divergence("day + BIGINT", "an error: days are added as INTEGER", exp.Add, _shifted),
    Divergence("CAST(2.5 AS INTEGER)", "cut off, not rounded half to even", exp.Cast, _cast),
    Divergence("1.5", "a DECIMAL, whose quotients are cut after a few places", exp.Literal, _number),
    Divergence("round(x, 2)", "rounds the shortest decimal text of x, not x", exp.Round, _rounded),
    Divergence("a UNION ALL BY NAME b", "not in its SQL", exp.Union, _united),
    Divergence("arg_max(x, y)", "takes rows in which x is null", exp.ArgMax, _latest("max_by")),
    Divergence("arg_min(x, y)", "takes rows in which x is null", exp.ArgMin, _latest("min_by")),
    Divergence("hash(a, b)", "another function, 32 bits wide, that skips nulls", exp.Anonymous, _hashed),
    Divergence("sum(hash(a))", "overflows: DuckDB sums into 128 bits", exp.Sum, _sum),
    Divergence("hash(a) >> 1", "keeps the sign", exp.BitwiseRightShift, _shift),
    Divergence("epoch_us(ts), …", "other names", exp.Anonymous, _anonymous),
    Divergence(
        "isodow(day)", "counted from Sunday by sqlglot", exp.DayOfWeekIso,
        lambda node: exp.Paren(this=exp.Add(this=_call("weekday", node.this), expression=exp.Literal.number(1))),
    ),
    Divergence(
        "make_timestamp(us)", "a moment, not a local time", exp.UnixToTime,
        lambda node: exp.cast(_call("timestamp_micros", node.this), "TIMESTAMP_NTZ", dialect="spark"),
    ),
    Divergence("quantile_cont(x, q)", "another syntax", exp.PercentileCont, _named("percentile")),
    Divergence("any_value(x)", "sqlglot puts IGNORE NULLS where Spark does not take it", exp.IgnoreNulls,
               lambda node: _call("any_value", node.this.this, exp.true()) if isinstance(node.this, exp.AnyValue)
               else node),
    Divergence("row_number()", "an INTEGER", exp.Window,
               lambda node: exp.cast(node.copy(), "BIGINT") if isinstance(node.this, exp.RowNumber)
               and not isinstance(node.parent, exp.Cast) else node),
    Divergence("json_extract_string(j, p)", "takes paths, not JSON pointers", exp.JSONExtractScalar, _json_text),
    Divergence("json_type(j) = 'OBJECT'", "no such function; other kinds are not told apart", exp.JSONType, _json_kind),
    Divergence("json_keys(j)", "no such name", exp.JSONKeys, lambda node: _call("json_object_keys", node.this)),
)  # fmt: skip
"""Everything that sqlglot alone would get wrong for Spark; a new one is one entry here."""

_BY_KIND: dict[Any, tuple[Divergence, ...]] = {
    kind: tuple(one for one in EXCEPTIONS if one.kind is kind) for kind in {one.kind for one in EXCEPTIONS}
}
