"""Sealed columns: nothing in the clear in the database, everything in the clear to whoever has the keys; other keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SealError
from jingzhe.core.seal_keys import KeyFile
from jingzhe.core.sealing import MAGIC, TEXT, Sealer
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import repeated_request
from jingzhe.store.state.collect_tables import quarantined_event
from jingzhe.store.state.consent_tables import consent_record, erasure
from jingzhe.store.state.database import connect
from jingzhe.store.state.identity_tables import identity_proposal, personal_key
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.store.state.outgoing_tables import webhook, webhook_delivery
from jingzhe.store.state.seal_losses import drop_closed
from jingzhe.store.state.seal_record import Record, give_up, record_of, rotate, seal_with
from jingzhe.store.state.sealed import SealedBytes, SealedJson, SealedText
from jingzhe.store.state.tables import metadata

MAIL = "li@example.com"


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "seal.keys", own=True)


@pytest.fixture
def sealed(state: State, file: KeyFile) -> State:
    seal_with(state, file)
    return state


def fill(state: State, number: int = 1) -> None:
    """Writes one row with a secret into every table that has a sealed column."""
    now, text = state.now(), MAIL.encode()
    name, quiet = f"w{number}", {"told_publication": 0, "told_profiles": 0, "told_moved_us": 0, "told_notice": 0}
    rows: list[tuple[sa.Table, dict[str, Any]]] = [
        (quarantined_event, {
            "quarantine_id": number, "source_id": 1, "protocol": "segment", "call": "batch", "received_us": 1,
            "sent_at": "", "user_agent": "", "client": "", "reason": "bad-json", "field": "", "detail": "",
            "body": text,
        }),
        (webhook, {
            "webhook_id": name, "name": name, "url": "https://x", "kinds": [], "activities": [], "states": [],
            "personal": True, "secret": MAIL, "old_secret": MAIL, "made_by": "", "created_at": now,
            "disabled_why": "", **quiet,
        }),
        (webhook_delivery, {
            "delivery_id": name, "webhook_id": name, "kind": "k", "payload": text, "status": "waiting",
            "created_at": now, "tries": 0, "answer": MAIL,
        }),
        (repeated_request, {"request": name, "content": "", "begun_at": now, "body": text}),
        (consent_record, {
            "record_id": number, "person_id": 1, "channel": "email", "purpose": "marketing", "status": "granted",
            "legal_basis": "", "source": "", "origin": "", "text_version": "", "url": MAIL, "ip": MAIL, "agent": "",
            "frequency": "", "policy_version": "", "said_us": 1, "recorded_us": 1, "actor": "",
        }),
        (erasure, {
            "erasure_id": name, "person_id": 1, "stage": "marked", "asked_at": now, "actor": "", "why": "",
            "work": {"values": [MAIL]}, "done": {},
        }),
        (identity_proposal, {
            "person_a": number, "person_b": number + 1, "probability": 0.9, "evidence": {"email": [MAIL, None]},
            "proposed_at": now, "status": "proposed",
        }),
        (personal_key, {"filed": f"hashed:{number:032}", "written": MAIL}),
    ]  # fmt: skip
    with state.writing() as connection:
        for table, row in rows:
            connection.execute(sa.insert(table), [row])


def stored(url: str) -> str:
    """Returns every cell of the database as it stands there."""
    database = connect(url)
    with database.reading() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        rows = [row for table in tables.sorted_tables for row in connection.execute(sa.select(table))]
    database.engine.dispose()
    cells = (
        bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for row in rows for cell in row
    )
    return b" ".join(cells).decode("utf-8", "replace")


def columns() -> list[sa.Column[Any]]:
    kinds = SealedBytes | SealedText | SealedJson
    return [column for table in metadata.sorted_tables for column in table.c if isinstance(column.type, kinds)]


def test_every_sealed_column_names_itself_and_holds_nothing_in_the_clear(sealed: State, state_url: str) -> None:
    fill(sealed)
    assert len(columns()) == 11
    with sealed.reading() as connection:
        for column in columns():
            assert column.type.what == f"{column.table.name}.{column.name}"  # type: ignore[attr-defined]
            read = connection.scalar(sa.select(column))
            assert MAIL in str(read.decode() if isinstance(read, bytes) else read), column
    held = stored(state_url)
    assert MAIL not in held
    assert held.count(TEXT) == 8


def test_values_moved_to_another_column_do_not_open(sealed: State) -> None:
    fill(sealed)
    with sealed.writing() as connection:
        connection.execute(sa.text("UPDATE consent_record SET url = ip"))
    with sealed.reading() as connection, pytest.raises(SealError, match=r"moved.*consent_record\.url"):
        connection.execute(sa.select(consent_record)).all()


def test_rows_from_before_there_were_keys_are_read_as_they_are(state: State, file: KeyFile, state_url: str) -> None:
    fill(state)
    assert MAIL in stored(state_url)
    seal_with(state, file)
    fill(state, 2)
    with state.reading() as connection:
        assert connection.scalars(sa.select(quarantined_event.c.body)).all() == [MAIL.encode()] * 2
        assert connection.scalars(sa.select(erasure.c.work)).all() == [{"values": [MAIL]}] * 2
        assert connection.scalars(sa.select(identity_proposal.c.evidence)).all() == [{"email": [MAIL, None]}] * 2


def test_a_store_that_is_opened_without_keys_says_so(sealed: State, state_url: str, clock: FixedClock) -> None:
    fill(sealed)
    with State.open(state_url, clock=clock) as other, other.reading() as connection:
        assert other.sealer is None
        assert connection.scalar(sa.select(consent_record.c.channel)) == "email"
        with pytest.raises(SealError, match="without its keys"):
            connection.scalar(sa.select(quarantined_event.c.body))


def test_the_same_file_is_known_again(sealed: State, state_url: str, clock: FixedClock, file: KeyFile) -> None:
    (key,) = file.read()
    assert record_of(sealed) == Record((key.fingerprint,))
    assert key.fingerprint in stored(state_url)
    with State.open(state_url, clock=clock) as other:
        assert seal_with(other, file) == sealed.sealer
    assert record_of(sealed) == Record((key.fingerprint,))


def test_another_file_is_refused(
    sealed: State, state_url: str, clock: FixedClock, tmp_path: Path, file: KeyFile
) -> None:
    other_file = KeyFile(tmp_path / "other" / "seal.keys", own=True)
    other_file.make(clock.now())
    with State.open(state_url, clock=clock) as other:
        with pytest.raises(SealError, match="not this project's") as told:
            seal_with(other, other_file)
        assert other.sealer is None
    assert str(other_file.path) in str(told.value)
    assert "seal_key_file" in str(told.value)
    assert "give-up" in told.value.hint
    with pytest.raises(SealError, match="not this project's"):
        rotate(sealed, other_file)
    assert len(other_file.read()) == 1
    assert record_of(sealed) == Record((file.read()[0].fingerprint,))


def test_a_missing_file_is_told_and_not_made_anew(
    sealed: State, state_url: str, clock: FixedClock, file: KeyFile
) -> None:
    file.path.unlink()
    with (
        State.open(state_url, clock=clock) as other,
        pytest.raises(SealError, match=r"(?s)is missing.*cannot be read.*profiles.* can\b"),
    ):
        seal_with(other, file)
    assert not file.path.exists()


def test_keys_are_rotated_and_old_rows_stay_readable(
    sealed: State, state_url: str, clock: FixedClock, file: KeyFile, tmp_path: Path
) -> None:
    before = file.path.read_bytes()
    fill(sealed)
    with State.open(state_url, clock=clock) as running:
        seal_with(running, file)
        key = rotate(sealed, file)
        fill(sealed, 2)
        for state in (sealed, running):
            with state.reading() as connection:
                assert connection.scalars(sa.select(quarantined_event.c.body)).all() == [MAIL.encode()] * 2
    assert record_of(sealed).known[-1] == key.fingerprint
    with sealed.reading() as connection:
        raw = sa.select(sa.type_coerce(quarantined_event.c.body, sa.LargeBinary)).order_by(sa.column("quarantine_id"))
        heads = [bytes(blob)[: len(MAGIC) + 4] for blob in connection.scalars(raw)]
    assert heads[1] == MAGIC + key.key_id
    assert heads[0] != heads[1]
    # A host that was not given the new file is told to fetch it.
    old = KeyFile(tmp_path / "old.keys", own=False)
    old.path.write_bytes(before)
    with State.open(state_url, clock=clock) as other, pytest.raises(SealError, match="lacks some of its keys"):
        seal_with(other, old)


def test_lost_keys_are_given_up_and_the_project_goes_on(state: State, file: KeyFile, state_url: str) -> None:
    fill(state, 1)  # before there were keys
    with pytest.raises(SealError, match="No key is missing"):
        give_up(state, file)
    lost = seal_with(state, file).keys[-1]
    fill(state, 2)
    file.path.unlink()
    assert give_up(state, file) == (lost.fingerprint,)
    sealer = seal_with(state, file)
    fill(state, 3)
    assert record_of(state) == Record((sealer.keys[-1].fingerprint,), (lost.fingerprint,))
    with state.writing() as connection:
        done = drop_closed(connection, frozenset({lost.key_id}))
    assert done == {f"{column.table.name}.{column.name}": 1 for column in columns() if column.name != "answer"}
    with state.reading() as connection:
        for column in columns():
            found = [str(one) for one in connection.scalars(sa.select(column)).all()]
            assert sum(MAIL in one for one in found) == 2, column
            assert all(MAIL in one or one in {"", "None", "{}"} for one in found)


@pytest.fixture
def box(state_url: str, file: KeyFile, clock: FixedClock) -> Iterator[Inbox]:
    with Inbox.open(state_url, Sealer(file.make(clock.now()), file.path)) as opened:
        yield opened


def test_what_waits_is_sealed(box: Inbox, state_url: str, file: KeyFile, clock: FixedClock) -> None:
    box.append(Group(1, 1, 1, MAIL.encode()))
    assert MAIL not in stored(state_url)
    assert [row.payload for row in box.take(events=10)] == [MAIL.encode()]
    with Inbox.open(state_url) as without:
        with pytest.raises(SealError, match="opened without keys"):
            without.take(events=10)
        without.append(Group(1, 1, 1, b"from before"))
    assert [row.payload for row in box.rows([1, 2])] == [MAIL.encode(), b"from before"]
    first = file.read()[0]
    box.append(Group(3, 3, 1, b"x"))
    with Inbox.open(state_url, Sealer(file.add(clock.now()), file.path)) as rotated:
        rotated.append(Group(1, 1, 1, b"new"))
        assert [row.payload for row in rotated.take(events=10)][-1] == b"new"
        assert [row.payload for row in box.take(events=10)][-1] == b"new"
        assert rotated.drop_closed({first.key_id}) == 4
        assert [row.payload for row in rotated.take(events=10)] == [b"from before", b"new"]
