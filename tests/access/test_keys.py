from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from jingzhe.access.actor import MACHINE, Actor
from jingzhe.access.errors import ForbiddenError, NotSignedInError, NotThereError, RefusedValueError
from jingzhe.access.keys import Keys
from jingzhe.access.permissions import PERMISSIONS, ROLES, of_role
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import api_key
from tests.access.conftest import NOON


def test_a_key_may_what_its_scopes_say_until_it_expires_or_is_revoked(keys: Keys, clock: FixedClock) -> None:
    made, secret = keys.make(MACHINE, "export", ["lists.read", "people.read"], expires_at=NOON + timedelta(days=1))
    assert keys.actor(secret) == Actor("key", made.key_id, frozenset({"lists.read", "people.read"}))
    clock.moment = NOON + timedelta(days=1)
    with pytest.raises(NotSignedInError):
        keys.actor(secret)
    _, other = keys.make(MACHINE, "other", ["people.read"])
    keys.revoke(MACHINE, other.split("_")[1])
    with pytest.raises(NotSignedInError):
        keys.actor(other)


def test_the_secret_is_not_stored(keys: Keys, state: State) -> None:
    made, secret = keys.make(MACHINE, "export", ["lists.read"])
    with state.reading() as connection:
        stored = str(connection.execute(sa.select(api_key)).one())
    assert made.key_id in stored
    assert secret.split("_", 2)[2] not in stored


def test_nothing_but_the_whole_key_works(keys: Keys) -> None:
    made, secret = keys.make(MACHINE, "one", ["lists.read"])
    _, other = keys.make(MACHINE, "two", ["people.read"])
    mixed = f"jz_{made.key_id}_{other.split('_', 2)[2]}"
    for wrong in ("", "jz", secret[:-1], secret + "x", secret.upper(), mixed, made.key_id, f" {secret}"):
        with pytest.raises(NotSignedInError):
            keys.actor(wrong)
    assert keys.actor(secret).actor_id == made.key_id


def test_the_day_of_the_last_use_is_known(keys: Keys, clock: FixedClock) -> None:
    made, secret = keys.make(MACHINE, "export", ["lists.read"])
    assert keys.get(made.key_id).last_used_day is None
    for day in (date(2026, 3, 5), date(2026, 3, 6)):
        clock.moment = clock.moment.replace(day=day.day)
        keys.actor(secret)
        assert keys.get(made.key_id).last_used_day == day


@pytest.mark.parametrize("role", ROLES)
def test_nobody_makes_a_key_that_may_do_more_than_they(role: str, keys: Keys) -> None:
    permissions = of_role(role)  # type: ignore[arg-type]
    by = Actor("account", "acc_x", permissions)
    for permission in PERMISSIONS.values():
        if not permission.for_keys:
            with pytest.raises(RefusedValueError, match="cannot have the scope"):
                keys.make(by, "k", [permission.name])
        elif permission.name in permissions:
            assert keys.make(by, "k", [permission.name])[0].scopes == (permission.name,)
        else:
            with pytest.raises(ForbiddenError):
                keys.make(by, "k", [permission.name])


@pytest.mark.parametrize(
    ("name", "scopes"), [("", ["lists.read"]), ("k", []), ("k", ["people.everything"]), ("x" * 101, ["lists.read"])]
)
def test_values_that_cannot_be_used_are_refused(name: str, scopes: list[str], keys: Keys) -> None:
    with pytest.raises(RefusedValueError):
        keys.make(MACHINE, name, scopes)
    with pytest.raises(RefusedValueError, match="past"):
        keys.make(MACHINE, "k", ["lists.read"], expires_at=NOON)
    with pytest.raises(NotThereError):
        keys.revoke(MACHINE, "nobody")
