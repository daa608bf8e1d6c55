"""A person with a long history is erased: no byte of any file, and nothing that opens, names them afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from jingzhe.access.actor import MACHINE
from jingzhe.app.certificates import certificate
from jingzhe.app.collecting import open_inbox
from jingzhe.app.holdings import find_person, subject_of
from jingzhe.app.jobs import Job
from jingzhe.app.privacy import Erasures
from jingzhe.app.privacy_jobs import export
from jingzhe.collect.received import Received, packed
from jingzhe.consent.asking import may
from jingzhe.identity.keys import Key
from jingzhe.identity.linking import listed
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain
from jingzhe.store.state.identity_tables import identity_proposal
from jingzhe.store.state.inbox import Group
from jingzhe.store.state.processes import this_process
from tests.app.test_privacy import (
    COOKIE,
    EMAIL,
    LOGIN,
    NAME,
    NOW,
    OTHER,
    PHONE,
    Shop,
    filled,
    found_in,
    shop,
    track,
)

__all__ = ["shop"]

MEMBER, CARD, OPENID, LINE = "MEM-ZHANG-90210", "CARD-ZHANG-5551", "oZhang-openid-77", "members.csv:4711"
THEIRS = (EMAIL, PHONE, LOGIN, COOKIE, NAME, MEMBER, CARD, OPENID, LINE)
OPEN = {LOGIN, COOKIE, MEMBER, CARD, OPENID, LINE}
"""Values that stand in the clear: of keys by which a business knows its people."""
JOB = "job_0b5f1c2d3e4f"
BY = By("li", f"the card {CARD} was lent")


def met(shop: Shop) -> None:
    """Has the person and somebody else meet in every way, and be parted again."""
    clock = shop.workspace.warehouse.clock
    # The member's number and the telephone come under the other's account first, or as well.
    shop.put(
        {"type": "identify", "userId": OTHER, "traits": {"member_id": MEMBER}, "messageId": "n1"},
        {"type": "identify", "userId": OTHER, "traits": {"phone": PHONE, "email_opt_in": True}, "messageId": "n2"},
        track("Order Completed", "n3", None, context={"traits": {"member_id": MEMBER}}, properties={"order_id": "N3"}),
    )
    shop.drain()
    undo(shop.state, [(Key("login", OTHER), Key("member", MEMBER))], By("li", "not theirs"), clock=clock)
    shop.put(
        {"type": "identify", "userId": LOGIN, "traits": {"member_id": MEMBER, "till_card": CARD}, "messageId": "n4"},
        track("Order Completed", "n5", None, context={"traits": {"till_card": CARD}}, properties={"order_id": "N5"}),
    )
    sent = {"$identity_login_id": LOGIN, "$identity_mp_wx123_openid": OPENID}
    call = {"type": "track", "event": "$MPLaunch", "distinct_id": LOGIN, "identities": sent, "properties": {}}
    body = json.dumps({**call, "time": int(NOW.timestamp() * 1000)}).encode()
    received = Received(1, "sensors", "", int(NOW.timestamp() * 1e6), "", "t", "loopback", 1, body)
    with open_inbox(shop.workspace.settings) as inbox:
        inbox.append(Group(1, 1, received.received_us, packed([received])))
    shop.drain()
    # Two are merged by hand; meanwhile each has a visit, and then the merge is taken back.
    people = sorted(find_person(shop.workspace, login, "login") for login in (LOGIN, OTHER))
    merge(shop.state, people[0], people[1], BY, clock=clock)
    shop.put(track("Product Viewed", "n6"), track("Product Viewed", "n7", OTHER))
    shop.drain()
    shop.workspace.refresh()
    (join,) = [one for one in explain(shop.state, people[0]) if one.rule == "by hand"]
    undo(shop.state, [join.numbers], BY, clock=clock)
    shop.workspace.refresh()


def made(shop: Shop, person: int) -> None:
    """Makes what is made of a person on the way: proposals, jobs, exports, a folder that a killed process left."""
    both = {"email": [EMAIL, None], "name": [NAME, "Z. Geheimnis"]}
    others = {"email": ["ann@example.com", None], "name": ["Ann", "Anne"]}
    with shop.state.writing() as connection:
        for number, evidence in ((900_001, both), (900_003, others)):
            row = {"person_a": number, "person_b": number + 1, "probability": 0.9, "evidence": evidence,
                   "proposed_at": NOW, "status": "proposed"}  # fmt: skip
            connection.execute(sa.insert(identity_proposal).values(row))
    name = "0b5f1c2d3e4f5a6b7c8d9e0f1a2b3c4d"
    export(person, name, shop.workspace)
    job = Job(JOB, "person_export", "done", NOW, options={"person_id": person, "name": name})
    body: dict[str, Any] = {**asdict(job), "process": asdict(this_process()), "asked_at": NOW.isoformat()}
    shop.state.put_document("job", JOB, body)
    for folder in ("exports", "tmp/spill-of-a-killed-process"):
        (shop.home / folder).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"value": [LOGIN, MEMBER]}), shop.home / folder / "rows.parquet", compression="none")


def events_of(shop: Shop, login: str) -> list[str]:
    found = shop.workspace.sql("SELECT user_id, sent_name, event_id FROM event_details ORDER BY event_id").to_pylist()
    return [row["event_id"] for row in found if row["user_id"] == login]


def test_nothing_is_left_of_somebody_who_was_merged_parted_proposed_exported_and_shared(shop: Shop) -> None:
    person = filled(shop)
    shop.drain()
    met(shop)
    shop.put({"type": "identify", "userId": LOGIN, "traits": {"email": EMAIL}, "messageId": "n8"})
    made(shop, person)
    kinds = {kind for kind, _ in subject_of(shop.workspace, person).keys}
    assert {"login", "email", "phone", "cookie", "member", "till_card", "openid/wx123"} <= kinds
    other, kept = find_person(shop.workspace, OTHER, "login"), events_of(shop, OTHER)
    # The search means something: everything is found beforehand, in the log of the state store too.
    assert (shop.home / "state.db-wal").stat().st_size > 0
    stands = {value for place, value in found_in(shop.home, *THEIRS) if not place.startswith("person-exports")}
    assert stands == OPEN - {LINE}
    held = shop.opened()
    assert all(value in held for value in THEIRS if value != LINE)

    erasures = Erasures(shop.workspace)
    done = certificate(erasures.run(erasures.ask(person, MACHINE, "request").erasure_id))

    assert found_in(shop.home, *THEIRS) == set()
    held = shop.opened()
    assert [value for value in THEIRS if value in held] == []
    assert (done["events_dropped"], done["state_rows"]["identity_proposal"]) == (1, 1)
    assert done["lake_rows_blotted"] == 2
    assert not any(value in json.dumps(done) for value in THEIRS)
    assert shop.state.document("job", JOB) is None
    assert [one.evidence["name"] for one in listed(shop.state)] == [["Ann", "Anne"]]
    assert not (shop.home / "tmp/spill-of-a-killed-process").exists()
    # The other one has everything that was theirs, and is heard.
    assert find_person(shop.workspace, OTHER, "login") == other
    assert events_of(shop, OTHER) == kept
    assert "tea" in held
    assert may(shop.state, other, "email", "marketing", at=NOW).allowed
    traits = {"phone": PHONE, "email_opt_in": False}
    shop.put({"type": "identify", "userId": OTHER, "traits": traits, "messageId": "z1"}, track("Product Viewed", "z2"))
    drained = shop.drain()
    assert (drained.calls, drained.erased) == (1, 1)
    assert may(shop.state, other, "email", "marketing", at=NOW).reason == "withdrawn"
    assert PHONE not in shop.opened()
