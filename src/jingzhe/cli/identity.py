"""``jingzhe identity``: merges and why, undoing them, merging by hand, what is kept apart, the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jingzhe.access.actor import MACHINE
from jingzhe.cli.console import Home, opened
from jingzhe.core.days import day_given
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.identity.keys import Key
    from jingzhe.identity.listing import Merge, Shown
    from jingzhe.identity.people import Join
    from jingzhe.identity.ruling import Kept

_identity = typer.Typer(no_args_is_help=True, help="Who is one person and why; take it back, or decide by hand.")
_rules = typer.Typer(help="Which keys make people one; show them, set them.")
Why = Annotated[str, typer.Option("--why", help="The reason; kept for the audit.")]
Who = Annotated[str, typer.Option("--who", help="Who decides, where it is somebody else; kept for the audit.")]
Lift = Annotated[bool, typer.Option("--lift", help="Let them be one again.")]
OUTCOMES: Mapping[str, str] = {
    "joined": "came with 随之归入", "same": "one person already 本是同一人", "merged": "became one 合并",
    "claimed": "history came over 认领匿名历史", "": "evidence is gone 依据已不在",
}  # fmt: skip
_CALLED: Mapping[str, str] = {
    "seen together": "seen together 同时出现", "same row of a file": "same row of a file 同一文件行",
    "by hand": "by hand 人工", "accepted match": "accepted match 确认的匹配", "imported": "imported 导入",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (merges, explain, undo, merge, apart, shared):
        _identity.command()(command)
    _rules.callback(invoke_without_command=True)(rules)
    _rules.command("show")(show_rules)
    _rules.command("set")(set_rules)
    _rules.command("restore")(restore_rules)
    _rules.command("never-merge")(never_merge)
    _identity.add_typer(_rules, name="rules")
    app.add_typer(_identity, name="identity")


def merges(
    home: Home = None,
    person: Annotated[int | None, typer.Option(min=1, help="Of this person only.")] = None,
    since: Annotated[str | None, typer.Option(help="Not older than this day (UTC), YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Older than this day (UTC), YYYY-MM-DD.")] = None,
    rule: Annotated[str, typer.Option(help="By this rule only: by hand, seen together, same row of a file.")] = "",
    kind: Annotated[str, typer.Option(help="By a key of this kind only, such as phone.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
) -> None:
    """List the merges that hold, the latest first."""
    from jingzhe.identity.listing import Wanted, list_merges  # noqa: PLC0415 - loads the identity graph

    wanted = Wanted(person, _moment(since, "--since"), _moment(until, "--until"), rule, kind)
    found: list[Merge] = []
    after = None
    with opened(home) as workspace:
        workspace.progress.stage("Looking for merges", unit="merges")
        while len(found) < limit:
            some, after = list_merges(workspace.warehouse.state, wanted, after=after, limit=limit - len(found))
            found += some
            workspace.progress.advance(len(found))
            if after is None:
                break
    if not found:
        _line("No merge. 没有合并。")
    for one in found:
        _line(_told(one))
    if after is not None:
        _line(f"There are more: --limit {2 * limit} 还有更多")


def explain(
    merge_id: Annotated[int, typer.Argument(min=1, help="Number of the person who was taken over.")], home: Home = None
) -> None:
    """Say why two people became one: which keys met in which event, and what else holds them together."""
    from jingzhe.identity.listing import get_merge  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        found = get_merge(workspace.warehouse.state, merge_id)
    _line(_told(found.merge))
    if found.decision is not None:
        _line(f"  {found.decision.who}: {found.decision.why}")
    hashed = {key.number: key for key in (*found.theirs, *found.others)}
    _line(f"Keys of {merge_id} 其标识: {', '.join(_key(key) for key in found.theirs) or '–'}")
    _line(f"The others 其余标识: {', '.join(_key(key) for key in found.others) or '–'}")
    _line("What connects them 联系依据:")
    for join in found.between:
        _line(f"  {_joined(join, hashed)}")
    more = " --everything" if len(found.between) > 1 else ""
    _line(f'Take it back 撤销: jingzhe identity undo {merge_id}{more} --why "…"')


def undo(
    merge_id: Annotated[int, typer.Argument(min=1, help="Number of the person who was taken over.")],
    why: Why,
    home: Home = None,
    who: Who = "",
    everything: Annotated[
        bool, typer.Option("--everything", help="Take back all that connects the two, not only the first pair of keys.")
    ] = False,
) -> None:
    """Take a merge back: both have their facts again, and later ones go to each."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        done = Identities(workspace).undo(MACHINE, merge_id, why, everything=everything, who=who)
    _line(f"They are these people now 现为: {', '.join(str(person) for person in done.people)}.")
    if done.folded:
        folded = ", ".join(str(person) for person in done.folded)
        _line(f"Earlier facts of {folded} stay with the other: they are folded. 此前记录已归并，不再分开。")


def merge(
    one: Annotated[int, typer.Argument(min=1, help="Number of a person.")],
    other: Annotated[int, typer.Argument(min=1, help="Number of another one.")],
    why: Why,
    home: Home = None,
    who: Who = "",
) -> None:
    """Make two people one by hand, whatever the limits say; can be undone."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        person = Identities(workspace).merge(MACHINE, (one, other), why, who=who)
    _line(f"They are one person now 现为同一人: {person}.")


def apart(
    two: Annotated[
        list[str] | None, typer.Argument(help="Two numbers of people, or two keys such as phone=13912345678; or none.")
    ] = None,
    why: Annotated[str, typer.Option("--why", help="The reason; kept for the audit.")] = "",
    home: Home = None,
    who: Who = "",
    lift: Lift = False,
) -> None:
    """Keep two people or two keys apart, or lift that; without two, list what is kept apart."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        if not two:
            _list_apart(workspace.warehouse.state)
            return
        if len(two) != 2:
            raise SettingError("Two are needed", hint="Two numbers of people, or two keys: login=ann phone=139…")
        identities = Identities(workspace)
        if all(one.isdecimal() for one in two):
            people = int(two[0]), int(two[1])
            (identities.allow_again if lift else identities.keep_apart)(MACHINE, people, why, who=who)
        else:
            keys = _parsed(two[0]), _parsed(two[1])
            (identities.allow_keys_again if lift else identities.keep_keys_apart)(MACHINE, keys, why, who=who)
    _line("They may become one again. 可再次合并。" if lift else "They are kept apart. 已分开保留。")


def shared(
    split: Annotated[int | None, typer.Option(min=0, help="Split who still hangs on the key of this number.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason; kept for the audit.")] = "",
    home: Home = None,
    who: Who = "",
) -> None:
    """List joining keys that were seen with too many and join nobody; split who still hangs on one."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph
    from jingzhe.identity.shared import list_shared  # noqa: PLC0415

    with opened(home) as workspace:
        if split is not None:
            people = Identities(workspace).split(MACHINE, split, why, who=who)
            _line(f"They are these people now 现为: {', '.join(str(person) for person in people)}.")
            return
        workspace.progress.stage("Looking for keys of nobody", unit="keys")
        found, after = list_shared(workspace.warehouse.state, limit=500)
        while after is not None:
            some, after = list_shared(workspace.warehouse.state, after=after, limit=500)
            found += some
            workspace.progress.advance(len(found))
    if not found:
        _line("No joining key is nobody's. 没有被过多人共用的标识。")
    for one in found:
        hang = "" if one.hang < 2 else f"  {one.hang} people hang on it 仍连着 {one.hang} 人: --split {one.key.number}"
        _line(f"{_key(one.key)}  since 自 {one.since:%Y-%m-%d}  with 共现 {one.partners}{hang}")


def rules(context: typer.Context, home: Home = None) -> None:
    """Show the rules; set, restore and never-merge change them."""
    if context.invoked_subcommand is None:
        show_rules(home)


def show_rules(
    home: Home = None,
    version: Annotated[int | None, typer.Option(min=1, help="An earlier version.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, to be changed and set.")] = False,
) -> None:
    """Show which keys make people one, how many a person may have, which values never join."""
    from jingzhe.identity.ruling import rules_now  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        kept = rules_now(workspace.warehouse.state, version)
    if as_json:
        typer.echo(json.dumps(kept.rules.document(), ensure_ascii=False, indent=2))
        return
    _line(f"Version 版本 {kept.version or '0 (as shipped 出厂)'}; region 地区 {kept.rules.region}")
    for kind in sorted(kept.rules.kinds.values(), key=lambda kind: (not kind.merges, -kind.strength, kind.name)):
        if kind.same_as:
            _line(f"  {kind.name:12} the same as 等同 {kind.same_as}")
            continue
        does = "joins 合并" if kind.merges else "follows 跟随"
        most = "any number 不限" if kind.single is None else f"at most 至多 {kind.single}"
        shared = "" if kind.shared_after is None else f", nobody's after 共用超过 {kind.shared_after}"
        hashed = ", hashed 散列" if kind.personal else ""
        _line(f"  {kind.name:12} {does}, {most}{shared}{hashed}")
    for name, values in sorted(kept.rules.never_of.items()):
        _line(f"  {name:12} never 永不合并: {', '.join(sorted(values))}")
    for name, hashes in sorted(kept.rules.never_hashed.items()):
        _line(f"  {name:12} never 永不合并: {len(hashes)} (hashes 散列)")
    _line(f"  never, whatever the kind 任何类型永不合并: {len(kept.rules.never)}")


def set_rules(
    file: Annotated[Path, typer.Argument(help="JSON as show --json prints it; what is left out is as it ships.")],
    why: Why,
    home: Home = None,
) -> None:
    """Make rules the project's, for what is seen from then on; every change is a version."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    try:
        given: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"The rules cannot be read: {error}", file=file) from error
    with opened(home) as workspace:
        kept = Identities(workspace).change_rules(MACHINE, given, why)
    _ruled(kept)


def restore_rules(
    version: Annotated[int, typer.Argument(min=0, help="The version; 0 is what ships.")], why: Why, home: Home = None
) -> None:
    """Make an earlier version hold again, as a new one."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        kept = Identities(workspace).restore_rules(MACHINE, version, why)
    _ruled(kept)


def never_merge(
    kind: Annotated[str, typer.Argument(help="Kind of the key, such as phone.")],
    value: Annotated[str, typer.Argument(help="As sources write it; of personal kinds only a hash is kept.")],
    why: Why,
    home: Home = None,
    split: Annotated[bool, typer.Option("--split", help="Take back what it has joined too; that stays so.")] = False,
) -> None:
    """Let a value join nobody from then on, such as the shop's own telephone number."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        kept = Identities(workspace).never_join(MACHINE, kind, value, why, split=split)
    _ruled(kept)


def _ruled(kept: Kept) -> None:
    _line(f"Version {kept.version} of the rules holds now. 规则第 {kept.version} 版已生效。")


def _list_apart(state: Any) -> None:
    from jingzhe.identity.apart import list_apart  # noqa: PLC0415 - loads the identity graph

    found, after = list_apart(state)
    while after is not None:
        some, after = list_apart(state, after=after)
        found += some
    if not found:
        _line("Nobody is kept apart. 没有分开保留的人。")
    for one in found:
        people = f"{one.people[0]} | {one.people[1]}"
        keys = "  " + " | ".join(_key(key) for key in one.keys) if one.keys else ""
        _line(f"{'people 人' if one.sort == 'people' else 'keys 标识'}  {people}{keys}")


def _told(one: Merge) -> str:
    keys = " + ".join(_key(key) for key in one.keys)
    rule = _CALLED.get(one.rule, one.rule)
    seen = f"{one.seen_at:%Y-%m-%d %H:%M:%S}" if one.seen_at else ""
    parts = [f"{one.merge_id} → {one.person_id}", OUTCOMES[one.outcome], keys, rule, one.event, seen]
    return "  ".join(part for part in parts if part)


def _joined(join: Join, known: Mapping[int, Shown]) -> str:
    two = " + ".join(
        _key(known[number]) if number in known else f"{key.kind} {key.value}"
        for number, key in zip(join.numbers, (join.a, join.b), strict=True)
    )
    outcome, rule = OUTCOMES.get(join.outcome, join.outcome), _CALLED.get(join.rule, join.rule)
    return f"{two}  {outcome}  {rule}  {join.event}  {join.at:%Y-%m-%d %H:%M:%S}"


def _key(key: Shown) -> str:
    return f"{key.kind} #{key.value[:8]} (hash 散列)" if key.hashed else f"{key.kind} {key.value}"


def _parsed(text: str) -> Key | int:
    from jingzhe.identity.keys import Key  # noqa: PLC0415 - loads the identity graph

    kind, equals, value = text.partition("=")
    if not equals:
        with suppress(ValueError):
            return int(text)
        raise SettingError(f"{kind!r} is no key", hint="Write it as kind=value, such as phone=13912345678.")
    return Key(kind, value)


def _moment(day: str | None, option: str) -> datetime | None:
    found = day_given(day, option)
    return None if found is None else datetime.combine(found, time(), UTC)


def _line(text: str) -> None:
    typer.echo(text)
