from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from jingzhe.access import passwords, throttle
from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.errors import NotSignedInError, NotThereError, ThrottledError
from jingzhe.access.sessions import Limits, Sessions, csrf_token, is_csrf_token
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import access_session, account
from tests.access.conftest import EMAIL, NOON, PASSWORD

IDLE, ABSOLUTE = timedelta(hours=2), timedelta(hours=12)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("used_after", "alive"),
    [
        ([IDLE - MINUTE], True),
        ([IDLE], False),
        ([IDLE - MINUTE, 2 * (IDLE - MINUTE)], True),
        ([IDLE - MINUTE, 2 * IDLE], False),
        ([timedelta(hours=hour) for hour in range(1, 12)], True),
        ([timedelta(hours=hour) for hour in range(1, 13)], False),
    ],
)
def test_a_session_ends_when_it_is_idle_or_its_day_is_over(
    used_after: list[timedelta], alive: bool, owner: str, sessions: Sessions, clock: FixedClock
) -> None:
    assert sessions.limits == Limits(IDLE, ABSOLUTE)
    token = sessions.sign_in(EMAIL, PASSWORD, network="-").token
    for after in used_after[:-1]:
        clock.moment = NOON + after
        assert sessions.actor(token)[0].actor_id == owner
    clock.moment = NOON + used_after[-1]
    if alive:
        assert sessions.actor(token)[0].actor_id == owner
    else:
        with pytest.raises(NotSignedInError):
            sessions.actor(token)


def test_one_ends_a_session_of_ones_own_and_no_other(accounts: Accounts, owner: str, sessions: Sessions) -> None:
    other, link = accounts.invite(MACHINE, "han@example.com", name="Han", role="analyst")
    accounts.set_password(link.token, PASSWORD)
    mine = sessions.sign_in(EMAIL, PASSWORD, network="-", client="Mozilla/5.0\n")
    theirs = sessions.sign_in(other.email, PASSWORD, network="-")
    assert [one.client for one in sessions.of(owner)] == ["Mozilla/5.0"]
    with pytest.raises(NotThereError):
        sessions.end(mine.actor, theirs.session.session_id, of=owner)
    sessions.end(mine.actor, mine.session.session_id, of=owner)
    assert sessions.of(owner) == []
    with pytest.raises(NotSignedInError):
        sessions.actor(mine.token)
    assert sessions.actor(theirs.token)[0].actor_id == other.account_id


def test_sessions_that_ended_are_removed(owner: str, sessions: Sessions, clock: FixedClock, state: State) -> None:
    sessions.sign_in(EMAIL, PASSWORD, network="-")
    clock.moment = NOON + IDLE - MINUTE
    kept = sessions.sign_in(EMAIL, PASSWORD, network="-").token
    clock.moment = NOON + IDLE
    assert sessions.clean() == 1
    assert sessions.actor(kept)[0].actor_id == owner
    with state.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(access_session)) == 1


def test_the_csrf_token_is_bound_to_the_session(owner: str, sessions: Sessions) -> None:
    one, other = (sessions.sign_in(EMAIL, PASSWORD, network="-").token for _ in range(2))
    assert is_csrf_token(csrf_token(one), one)
    for wrong in (csrf_token(other), one, "", csrf_token(one)[:-1]):
        assert not is_csrf_token(wrong, one)


@pytest.mark.parametrize(
    "row",
    [(4, 0, False), (5, 14, True), (5, 15, False), (6, 29, True), (6, 30, False), (12, 899, True), (12, 900, False)],
    ids=lambda row: f"{row[0]} failures, after {row[1]} s",
)
def test_an_account_waits_longer_after_each_failure(
    row: tuple[int, int, bool], owner: str, sessions: Sessions, clock: FixedClock
) -> None:
    failures, after_seconds, waits = row
    for _ in range(failures):
        with pytest.raises(NotSignedInError):
            sessions.sign_in(EMAIL, "wrong, and for ever wrong", network="-")
        clock.moment += timedelta(minutes=15)
    clock.moment += timedelta(seconds=after_seconds) - timedelta(minutes=15)
    if waits:
        with pytest.raises(ThrottledError) as caught:
            sessions.sign_in(EMAIL, PASSWORD, network="-")
        assert 1 <= caught.value.retry_after_seconds <= 901
    else:
        assert sessions.sign_in(EMAIL, PASSWORD, network="-").actor.actor_id == owner


def test_an_account_that_does_not_exist_waits_too(owner: str, sessions: Sessions) -> None:
    for _ in range(5):
        with pytest.raises(NotSignedInError):
            sessions.sign_in("nobody@example.com", PASSWORD, network="-")
    with pytest.raises(ThrottledError):
        sessions.sign_in("Nobody@example.com ", PASSWORD, network="-")
    assert sessions.sign_in(EMAIL, PASSWORD, network="-").actor.actor_id == owner


def test_an_address_that_tries_many_accounts_waits_and_one_right_password_does_not_free_it(
    owner: str, sessions: Sessions, clock: FixedClock
) -> None:
    free = throttle.address("198.51.100.7").free
    for number in range(free - 1):
        with pytest.raises(NotSignedInError):
            sessions.sign_in(f"nobody{number}@example.com", PASSWORD, network="198.51.100.7")
    sessions.sign_in(EMAIL, PASSWORD, network="198.51.100.7")
    with pytest.raises(NotSignedInError):
        sessions.sign_in("nobody@example.com", PASSWORD, network="198.51.100.7")
    with pytest.raises(ThrottledError):
        sessions.sign_in(EMAIL, PASSWORD, network="198.51.100.7")
    assert sessions.sign_in(EMAIL, PASSWORD, network="198.51.100.8").actor.actor_id == owner
    clock.moment = NOON + throttle.FORGOTTEN_AFTER
    assert sessions.sign_in(EMAIL, PASSWORD, network="198.51.100.7").actor.actor_id == owner


def test_a_hash_with_older_parameters_is_made_anew_at_sign_in(owner: str, sessions: Sessions, state: State) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with state.writing() as connection:
        connection.execute(sa.update(account).values(password_hash=older))
    assert passwords.is_outdated(older)
    sessions.sign_in(EMAIL, PASSWORD, network="-")
    with state.reading() as connection:
        stored = connection.scalar(sa.select(account.c.password_hash))
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert sessions.sign_in(EMAIL, PASSWORD, network="-").actor.actor_id == owner


def test_an_unknown_account_costs_as_much_as_a_wrong_password(
    owner: str, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time is too noisy to compare; what costs it is counted: hashes of the same parameters.
    computed: list[str] = []
    real = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: str) -> bool:
        computed.append(stored.rsplit("$", 2)[0])
        return bool(real(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for email in (EMAIL, "nobody@example.com", "no address at all"):
        with pytest.raises(NotSignedInError):
            sessions.sign_in(email, "wrong, and for ever wrong", network="-")
    assert computed == ["$argon2id$v=19$m=19456,t=2,p=1"] * 3
