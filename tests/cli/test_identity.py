"""``jingzhe identity`` and ``jingzhe link`` over a project with people who met."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jingzhe.app.workspace import open_workspace
from jingzhe.cli.main import app
from jingzhe.core.errors import JingzheError
from jingzhe.identity.keys import Key
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.resolving import resolve

PHONE = "13912345678"
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--home", str(home)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def tell(home: Path, batch: str, *lines: str) -> list[int]:
    with open_workspace(home) as workspace:
        seen = Observations.of(
            Observation(tuple(Key(*word.split("=", 1)) for word in line.split()), NOON, f"{batch} {number}")
            for number, line in enumerate(lines)
        )
        stores = workspace.warehouse
        return [int(one) for one in resolve(stores.state, seen, batch_id=batch, clock=stores.clock).people]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tell(tmp_path, "till.csv, line", "login=A", f"member=m phone={PHONE}", "login=A member=m", "login=B")
    return tmp_path


def actions(home: Path) -> list[str]:
    return [line.split()[4] for line in run(home, "audit", "list").splitlines()]


def test_a_merge_is_listed_explained_and_undone(home: Path) -> None:
    listed = run(home, "identity", "merges")
    assert "2 → 1  became one 合并  login A + member m" in listed
    assert "till.csv, line 2" in listed
    told = run(home, "identity", "explain", "2")
    assert "phone #" in told
    assert PHONE not in told
    assert "jingzhe identity undo 2" in told
    assert "1, 2" in run(home, "identity", "undo", "2", "--why", "two sisters", "--who", "li")
    assert "没有合并" in run(home, "identity", "merges")
    with pytest.raises(JingzheError, match="No merge of this number"):
        run(home, "identity", "undo", "2", "--why", "again")
    assert tell(home, "later", "login=A member=m", "member=m") == [1, 2]
    assert actions(home)[0] == "identity.undone"


def test_people_are_merged_and_kept_apart_by_hand(home: Path) -> None:
    assert "one person now 现为同一人: 1" in run(home, "identity", "merge", "3", "1", "--why", "saw both cards")
    assert "saw both cards" in run(home, "identity", "explain", "3")
    assert "3 → 1" in run(home, "identity", "merges", "--rule", "by hand", "--person", "1")
    run(home, "identity", "undo", "3", "--why", "a slip")
    run(home, "identity", "apart", "1", "3", "--why", "father and son")
    run(home, "identity", "apart", "login=B", "member=m", "--why", "lent once")
    listed = run(home, "identity", "apart")
    assert "people 人  1 | 3" in listed
    assert "login B" in listed
    run(home, "identity", "apart", "1", "3", "--lift", "--why", "one man")
    assert "people 人" not in run(home, "identity", "apart")
    with pytest.raises(JingzheError, match="who decides and why"):
        run(home, "identity", "apart", "1", "3")
    with pytest.raises(JingzheError, match="Two are needed"):
        run(home, "identity", "apart", "1")
    assert actions(home)[:2] == ["identity.allowed-again", "identity.keys-kept-apart"]


def test_a_shops_own_number_is_split_off(home: Path) -> None:
    tell(home, "more", f"login=B phone={PHONE}", "till_card=t", f"till_card=t phone={PHONE}")
    assert "没有被过多人共用" in run(home, "identity", "shared")
    run(home, "identity", "rules", "never-merge", "phone", PHONE, "--split", "--why", "the shop's own")
    assert "phone #" in run(home, "identity", "shared")
    with pytest.raises(JingzheError, match="no such key"):
        run(home, "identity", "shared", "--split", "7", "--why", "x")
    assert tell(home, "later", "till_card=t", "member=m") == [4, 1]
    assert actions(home)[:2] == ["identity.split", "identity.rules-changed"]


def test_rules_are_shown_set_and_restored(home: Path, tmp_path: Path) -> None:
    assert "as shipped" in run(home, "identity", "rules")
    assert "第 1 版" in run(home, "identity", "rules", "never-merge", "phone", "02012345678", "--why", "the shop's own")
    document = json.loads(run(home, "identity", "rules", "show", "--json"))
    assert len(document["never_hashed"]["phone"]) == 1
    document["kinds"]["phone"]["single"] = 1
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(document), "utf-8")
    run(home, "identity", "rules", "set", str(file), "--why", "one number each")
    assert "phone        joins 合并, at most 至多 1" in run(home, "identity", "rules", "show")
    run(home, "identity", "rules", "restore", "0", "--why", "as it was")
    assert "at most 至多 3" in run(home, "identity", "rules", "show")
    file.write_text("[]", "utf-8")
    with pytest.raises(JingzheError, match="no rules"):
        run(home, "identity", "rules", "set", str(file), "--why", "x")
    assert actions(home)[:3] == ["identity.rules-changed"] * 3


def test_accepted_and_rejected_links_stand_in_the_trail(home: Path) -> None:
    pytest.importorskip("splink", reason="proposals need the extra link")
    rows = ["name,surname,dob,city,email,login"]
    rows += [f"Ann{n},Li{n},1990-01-{n % 28 + 1:02},Oslo,ann{n}@example.com,u{n}" for n in range(60)]
    rows += [f"Ann{n},Li{n},1990-01-{n % 28 + 1:02},Oslo,ann{n}@example.com,v{n}" for n in range(4)]
    file = home / "members.csv"
    file.write_text("\n".join(rows), "utf-8")
    columns = [f"--column={one}" for one in ("name=name", "surname=name", "dob=birthday", "email=email")]
    assert "proposals wait" in run(home, "link", "propose", str(file), *columns, "--key", "login=login")
    with open_workspace(home) as workspace:
        from jingzhe.identity.linking import listed  # noqa: PLC0415 - needs the extra

        waiting = listed(workspace.warehouse.state)
    one, other = waiting[:2]
    words = ("--who", "li", "--why", "checked")
    run(home, "link", "accept", str(one.person_a), str(one.person_b), *words)
    run(home, "link", "reject", str(other.person_a), str(other.person_b), *words)
    assert actions(home)[:3] == ["identity.link-rejected", "identity.merged", "identity.link-accepted"]
