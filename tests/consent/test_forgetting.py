"""What is cut out of the state store when a person is forgotten, and what stays of others."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from jingzhe.access.actor import MACHINE
from jingzhe.consent.addresses import salt_of
from jingzhe.consent.forgetting import forget
from jingzhe.consent.subjects import Finder, subject_of
from jingzhe.core.clock import FixedClock
from jingzhe.identity.linking import listed
from jingzhe.identity.rules import load_rules
from jingzhe.outgoing.deliveries import put
from jingzhe.outgoing.kinds import EVENTS, MERGED, STATES, Message
from jingzhe.outgoing.webhooks import NewWebhook, Webhooks
from jingzhe.store.state import State
from jingzhe.store.state.identity_tables import identity_proposal
from jingzhe.store.state.outgoing_tables import webhook_delivery
from tests.consent.conftest import NOON, met


def payloads(state: State) -> list[dict[str, Any]]:
    with state.reading() as connection:
        rows = connection.scalars(sa.select(webhook_delivery.c.payload).order_by(webhook_delivery.c.kind))
        return [json.loads(bytes(row))["data"] for row in rows]


def test_only_the_person_is_cut_out_of_messages(state: State, clock: FixedClock) -> None:
    ann, bob = met(state, clock, ("login", "ann-of-the-hill")), met(state, clock, ("login", "bob-of-the-mill"))
    hook, _ = Webhooks(state, clock, private=True).add(MACHINE, NewWebhook("CRM", "http://127.0.0.1:9/h", (EVENTS,)))
    events = [{"person_id": bob, "user_id": "bob-of-the-mill"}, {"person_id": ann, "user_id": "ann-of-the-hill"}]
    named = [{"person_id": bob, "user_id": "bob-of-the-mill", "referred_by": "ann-of-the-hill"}]
    messages = [
        Message(EVENTS, "both", NOON, {"publication": 1, "events": events}),
        Message(MERGED, "theirs", NOON, {"person_id": ann, "was": 99}),
        Message(STATES, "theirs alone", NOON, {"people": [{"person_id": ann, "state": "lost"}]}),
        Message(STATES, "named by another", NOON, {"people": named}),
        Message(STATES, "others", NOON, {"people": [{"person_id": bob, "state": "lost"}]}),
    ]
    with state.writing() as connection:
        assert put(connection, hook.webhook_id, messages, NOON) == 5
        rules, salt = load_rules(state), salt_of(state)
        subject = subject_of(connection, ann, [("login", "ann-of-the-hill")], rules, salt)
        assert forget(connection, subject, Finder(subject, rules, salt))["webhook_delivery"] == 4
    assert payloads(state) == [
        {"publication": 1, "events": events[:1]},
        {"people": [{"person_id": bob, "state": "lost"}]},
    ]


def test_proposals_that_name_somebody_go_also_where_nobody_has_accepted_them(state: State, clock: FixedClock) -> None:
    ann = met(state, clock, ("login", "ann-of-the-hill"), ("email", "ann@hill.example"))
    lines = [met(state, clock, ("record", f"list:{number}")) for number in range(4)]
    theirs = {"name": ["Ann", "Anne"], "email": ["Ann@Hill.example", None]}
    others = {"name": ["Bob", "Rob"], "email": ["bob@mill.example", "rob@mill.example"]}
    with state.writing() as connection:
        for pair, evidence in ((lines[:2], theirs), (lines[2:], others)):
            row = {"person_a": pair[0], "person_b": pair[1], "probability": 0.9, "evidence": evidence,
                   "proposed_at": NOON, "status": "proposed"}  # fmt: skip
            connection.execute(sa.insert(identity_proposal).values(row))
        rules, salt = load_rules(state), salt_of(state)
        subject = subject_of(connection, ann, [], rules, salt)
        assert forget(connection, subject, Finder(subject, rules, salt))["identity_proposal"] == 1
    assert [one.evidence for one in listed(state)] == [others]
