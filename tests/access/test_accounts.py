from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from jingzhe.access import audit
from jingzhe.access.accounts import FIRST_EMAIL, LINK_LASTS, Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.errors import ConflictError, NotSignedInError, NotThereError, RefusedValueError
from jingzhe.access.sessions import Sessions
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from jingzhe.store.state.tables import metadata
from tests.access.conftest import EMAIL, NOON, PASSWORD


def test_the_first_owner_is_made_once_and_sets_a_password_by_the_link(accounts: Accounts, sessions: Sessions) -> None:
    link = accounts.first_administrator(MACHINE)
    assert link is not None
    assert accounts.first_administrator(MACHINE) is None
    assert accounts.set_password(link.token, PASSWORD).email == FIRST_EMAIL
    assert sessions.sign_in(FIRST_EMAIL, PASSWORD, network="-").actor.role == "owner"


def test_two_processes_that_start_at_once_make_one_first_owner(state_url: str, clock: FixedClock) -> None:
    def start(_: int) -> bool:
        with State.open(state_url, clock=clock) as state:
            return Accounts(state, clock).first_administrator(MACHINE) is not None

    State.open(state_url, clock=clock).close()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(start, range(4))) == 1


@pytest.mark.parametrize("purpose", ["invitation", "reset"])
def test_a_link_works_until_it_expires(
    purpose: str, accounts: Accounts, owner: str, clock: FixedClock, sessions: Sessions
) -> None:
    made = accounts.invite(MACHINE, "han@example.com", name="Han", role="analyst")
    link = made[1] if purpose == "invitation" else accounts.link(MACHINE, owner)
    assert link.purpose == purpose
    lasts = LINK_LASTS[link.purpose]
    clock.moment = NOON + lasts
    with pytest.raises(NotThereError, match="does not work"):
        accounts.set_password(link.token, "a new pass phrase for me")
    clock.moment = NOON + lasts - timedelta(seconds=1)
    email = accounts.set_password(link.token, "a new pass phrase for me").email
    assert sessions.sign_in(email, "a new pass phrase for me", network="-").actor.kind == "account"


def test_a_link_works_once_and_a_newer_one_replaces_it(accounts: Accounts, owner: str) -> None:
    first, second = accounts.link(MACHINE, owner), accounts.link(MACHINE, owner)
    for token in (first.token, "invented"):
        with pytest.raises(NotThereError):
            accounts.set_password(token, PASSWORD)
    accounts.set_password(second.token, PASSWORD)
    with pytest.raises(NotThereError):
        accounts.set_password(second.token, PASSWORD)


def test_of_two_who_use_a_link_at_once_one_succeeds(accounts: Accounts, owner: str) -> None:
    token = accounts.link(MACHINE, owner).token

    def use(number: int) -> bool:
        try:
            accounts.set_password(token, f"pass phrase of number {number}")
        except NotThereError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 15"),
        ("x" * 300, "at most 256"),
        ("abababababababab", "repeated"),
        ("li.lei2026!!!!!!", "address"),
    ],
)
def test_passwords_that_are_easy_to_guess_are_refused_and_the_link_still_works(
    password: str, why: str, accounts: Accounts, owner: str
) -> None:
    token = accounts.link(MACHINE, owner).token
    with pytest.raises(RefusedValueError, match=why):
        accounts.set_password(token, password)
    assert accounts.set_password(token, PASSWORD).account_id == owner


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@c", "x@" + "y" * 200, "a\n@b"])
def test_an_address_that_is_none_is_refused(email: str, accounts: Accounts) -> None:
    with pytest.raises(RefusedValueError, match="no address"):
        accounts.invite(MACHINE, email, name="N", role="owner")


def test_one_address_has_one_account_however_it_is_written(accounts: Accounts, owner: str) -> None:
    with pytest.raises(ConflictError):
        accounts.invite(MACHINE, f"  {EMAIL.upper()} ", name="N", role="owner")
    other, _ = accounts.invite(MACHINE, "han@example.com", name="Han", role="analyst")
    with pytest.raises(ConflictError):
        accounts.change(MACHINE, other.account_id, email=EMAIL.title())
    assert accounts.by_email(EMAIL.upper()).account_id == owner


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "analyst"}])
def test_somebody_always_owns_the_project(change: dict[str, object], accounts: Accounts, owner: str) -> None:
    with pytest.raises(ConflictError, match="owns"):
        accounts.change(MACHINE, owner, **change)  # type: ignore[arg-type]
    accounts.invite(MACHINE, "han@example.com", name="Han", role="owner")
    accounts.change(MACHINE, owner, **change)  # type: ignore[arg-type]
    assert accounts.get(owner).disabled_at is not None or accounts.get(owner).role == "analyst"


@pytest.mark.parametrize("change", ["disabled", "role", "password"])
def test_sessions_end_when_what_they_stand_on_changes(
    change: str, accounts: Accounts, sessions: Sessions, owner: str
) -> None:
    accounts.invite(MACHINE, "han@example.com", name="Han", role="owner")
    token = sessions.sign_in(EMAIL, PASSWORD, network="-").token
    assert sessions.actor(token)[0].actor_id == owner
    if change == "disabled":
        accounts.change(MACHINE, owner, disabled=True)
    elif change == "role":
        accounts.change(MACHINE, owner, role="analyst")
    else:
        accounts.set_password(accounts.link(MACHINE, owner).token, "another pass phrase, longer")
    with pytest.raises(NotSignedInError, match="ended"):
        sessions.actor(token)


def test_an_account_that_is_disabled_can_neither_sign_in_nor_get_a_link(
    accounts: Accounts, sessions: Sessions, owner: str
) -> None:
    accounts.invite(MACHINE, "han@example.com", name="Han", role="owner")
    link = accounts.link(MACHINE, owner)
    accounts.change(MACHINE, owner, disabled=True)
    with pytest.raises(NotSignedInError):
        sessions.sign_in(EMAIL, PASSWORD, network="-")
    with pytest.raises(NotThereError):
        accounts.set_password(link.token, PASSWORD)
    with pytest.raises(ConflictError, match="disabled"):
        accounts.link(MACHINE, owner)
    accounts.change(MACHINE, owner, disabled=False)
    assert sessions.sign_in(EMAIL, PASSWORD, network="-").actor.actor_id == owner


def test_no_secret_stands_in_the_store(accounts: Accounts, sessions: Sessions, owner: str, state: State) -> None:
    link = accounts.link(MACHINE, owner)
    token = sessions.sign_in(EMAIL, PASSWORD, network="203.0.113.9").token
    with state.reading() as connection:
        rows = [str(row) for table in metadata.tables.values() for row in connection.execute(sa.select(table))]
    stored = "\n".join(rows)
    assert EMAIL in stored
    for secret in (link.token, token, PASSWORD, "203.0.113.9"):
        assert secret not in stored


def test_what_is_done_stands_in_the_trail_without_names_and_addresses(
    accounts: Accounts, owner: str, state: State
) -> None:
    accounts.change(MACHINE, owner, name="Somebody Else", email="else@example.com")
    found = audit.rows(state)
    assert [row.action for row in reversed(found)] == [
        "account.made", "account.link-made", "account.password-set", "account.changed",
    ]  # fmt: skip
    written = "".join(f"{row.subject}{row.details}" for row in found)
    for personal in ("Somebody", "else@example.com", EMAIL, "Li Lei"):
        assert personal not in written
