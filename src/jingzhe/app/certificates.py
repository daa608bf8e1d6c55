"""Certificates of erasures: what was removed, without anything of the person."""

from __future__ import annotations

from typing import Any

from jingzhe.app.privacy import STAGES, Erasure
from jingzhe.core.errors import NoDataError


def certificate(found: Erasure) -> dict[str, Any]:
    """Returns what was removed, as JSON, without anything of the person.

    Raises:
        NoDataError: the erasure is not whole yet.
    """
    if not found.is_whole or found.done_at is None:
        raise NoDataError("The erasure is not whole yet", hint=f"Done so far: {found.stage}. Ask again later.")
    done = found.done
    return {
        "erasure_id": found.erasure_id, "person_id": found.person_id, "asked_at": found.asked_at.isoformat(),
        "asked_by": found.actor, "why": found.why, "done_at": found.done_at.isoformat(),
        "keys": done["marked"]["keys"], "people_merged": done["marked"]["people"],
        "tombstones": done["marked"]["tombstones"], "suppressions_kept": done["marked"]["suppressions"],
        "events_dropped": done["drained"]["events_dropped"],
        "lake_rows": done["deleted"]["rows"], "lake_files_rewritten": done["deleted"]["files_rewritten"],
        "lake_rows_blotted": done["deleted"].get("blotted", 0),
        "lake_files_removed": done["vacuumed"]["files_removed"], "state_rows": done["forgotten"]["rows"],
        "files_removed": done["cleared"]["files"], "state_file_rewritten": done["emptied"]["state_file_rewritten"],
        "stages": {stage: done[stage]["at"] for stage in STAGES},
    }  # fmt: skip


def certificate_text(found: Erasure) -> str:
    """Returns the certificate as text to print.

    Raises:
        NoDataError: the erasure is not whole yet.
    """
    said = certificate(found)
    lines = [
        "Certificate of erasure 删除证明", "",
        f"Erasure 编号        {said['erasure_id']}",
        f"Person 客户编号     {said['person_id']} ({said['people_merged']} merged numbers)",
        f"Asked 申请          {said['asked_at']} by {said['asked_by']}: {said['why']}",
        f"Done 完成           {said['done_at']}", "",
    ]  # fmt: skip
    for title, name in (
        ("Rows removed from the lake 数据湖删除行数", "lake_rows"),
        ("Files rewritten 重写文件数", "lake_files_rewritten"),
        ("Files of older versions removed 旧版本文件删除数", "lake_files_removed"),
        ("Rows removed from the state store 状态库删除行数", "state_rows"),
        ("Keys, by kind 标识数", "keys"),
    ):
        lines += [title, *(f"  {key:28} {count:>8,}" for key, count in sorted(said[name].items())), ""]
    rewritten = "written anew 已重写" if said["state_file_rewritten"] else "rows gone; VACUUM is the server's"
    lines += [
        f"Events dropped on arrival 丢弃的到达事件: {said['events_dropped']:,}",
        f"Other files removed 其他文件: {', '.join(said['files_removed']) or 'none 无'}",
        f"State store 状态库: {rewritten}",
        f"Kept 保留: {said['tombstones']:,} tombstones and {said['suppressions_kept']:,} suppressions, as keyed hashes",
    ]
    return "\n".join(lines) + "\n"
