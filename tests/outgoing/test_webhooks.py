"""Who is told what: made, checked, given a new secret, disabled and enabled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jingzhe.access import audit
from jingzhe.access.actor import MACHINE, Actor
from jingzhe.access.errors import ForbiddenError, NotThereError
from jingzhe.access.permissions import of_role
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SettingError
from jingzhe.outgoing.webhooks import NewWebhook, Webhooks
from jingzhe.store.state import State
from jingzhe.store.state.notices import note
from jingzhe.store.state.outgoing_tables import notice

CRM = NewWebhook("CRM", "https://crm.example.com/hook", ("event.received",))


def test_a_webhook_is_made_and_its_secret_is_shown_once(state: State, clock: FixedClock) -> None:
    hooks = Webhooks(state, clock)
    made, secret = hooks.add(MACHINE, replace(CRM, activities=("purchase", "cart"), states=("dormant",)))
    assert secret.startswith("whsec_")
    assert hooks.get(made.webhook_id) == made
    assert (made.activities, made.states, made.secrets) == (("cart", "purchase"), ("dormant",), (secret,))
    assert secret not in repr(made)
    (row,) = audit.rows(state)
    assert (row.action, row.subject) == ("webhook.made", made.webhook_id)
    assert secret not in row.details


def test_after_a_new_secret_the_old_one_signs_for_a_day(state: State, clock: FixedClock) -> None:
    hooks = Webhooks(state, clock)
    made, first = hooks.add(MACHINE, CRM)
    second_one, second = hooks.rotate(MACHINE, made.webhook_id)
    assert second_one.secrets == (second, first)
    clock.moment += timedelta(hours=24)
    assert hooks.get(made.webhook_id).secrets == (second,)


def test_a_disabled_one_is_told_nothing_until_it_is_enabled(state: State, clock: FixedClock) -> None:
    hooks = Webhooks(state, clock)
    made, _ = hooks.add(MACHINE, CRM)
    off = hooks.disable(MACHINE, made.webhook_id)
    assert (off.disabled_at, off.disabled_why) == (clock.now(), "disabled by machine:cli")
    assert hooks.live() == []
    assert hooks.enable(MACHINE, made.webhook_id).disabled_at is None
    assert [one.webhook_id for one in hooks.live()] == [made.webhook_id]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "}, {"kinds": ()}, {"kinds": ("nonsense",)}, {"activities": ("shopping",)}, {"states": ("asleep",)},
        {"url": "http://crm.example.com"},
    ],
)  # fmt: skip
def test_what_no_webhook_can_be(state: State, clock: FixedClock, wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Webhooks(state, clock).add(MACHINE, replace(CRM, **wrong))  # type: ignore[arg-type]


def test_only_who_may_export_data_has_people_told_of(state: State, clock: FixedClock) -> None:
    integrator = Actor("account", "a", of_role("integrator"), "integrator")
    owner = Actor("account", "b", of_role("owner"), "owner")
    hooks = Webhooks(state, clock)
    with pytest.raises(ForbiddenError, match=r"data\.export"):
        hooks.add(integrator, replace(CRM, personal=True))
    assert hooks.add(integrator, CRM)[0].personal is False
    assert hooks.add(owner, replace(CRM, personal=True))[0].personal is True


def test_one_that_is_not_there(state: State, clock: FixedClock) -> None:
    with pytest.raises(NotThereError):
        Webhooks(state, clock).get("wh_none")


def test_notices_are_kept_only_while_somebody_listens(state: State, clock: FixedClock) -> None:
    hooks = Webhooks(state, clock)

    def noted() -> int:
        with state.writing() as connection:
            note(connection, "quarantine.added", {"reasons": {"bad-json": 1}}, clock.now())
            return len(connection.execute(notice.select()).all())

    assert noted() == 0
    made, _ = hooks.add(MACHINE, CRM)
    assert noted() == 1
    hooks.disable(MACHINE, made.webhook_id)
    assert noted() == 1
