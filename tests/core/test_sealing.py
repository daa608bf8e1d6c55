"""Sealing: what is sealed opens with its key and in its place only; the key file is made once and read by its owner."""

from __future__ import annotations

import os
import pickle
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.core.errors import SealError
from jingzhe.core.seal_keys import Key, KeyFile, read_keys
from jingzhe.core.sealing import MAGIC, TEXT, Sealer

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
OLD, NEW = Key("2026", bytes(range(32))), Key("2027", bytes(range(32, 64)))
SEALER = Sealer((OLD, NEW))


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_is_sealed_opens_in_its_place(plain: bytes, what: str) -> None:
    sealed = SEALER.seal(what, plain)
    assert sealed.startswith(MAGIC)
    assert SEALER.open(what, sealed) == plain
    assert SEALER.seal(what, plain) != sealed  # equal values cannot be told from their seals
    with pytest.raises(SealError, match="changed, or moved"):
        SEALER.open(what + "x", sealed)


# Strings of the code itself are among those that are drawn.
@given(st.text(max_size=100).filter(lambda plain: not plain.startswith(TEXT)))
def test_texts_are_sealed_as_texts(plain: str) -> None:
    sealed = SEALER.seal_text("t.c", plain)
    assert sealed.startswith(TEXT)
    assert sealed.isascii()
    assert SEALER.open_text("t.c", sealed) == plain
    assert SEALER.open_text("t.c", plain) == plain


def test_every_changed_bit_is_noticed() -> None:
    sealed = SEALER.seal("t.c", b"li@example.com")
    for place in range(len(MAGIC), len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealError):
            SEALER.open("t.c", bytes(changed))
    for length in range(len(MAGIC), len(sealed)):
        with pytest.raises(SealError):
            SEALER.open("t.c", sealed[:length])
    for text in (TEXT, TEXT + "!", TEXT + "AAAA", SEALER.seal_text("t.c", "x")[:-5]):
        with pytest.raises(SealError):
            SEALER.open_text("t.c", text)


def test_the_newest_key_seals_and_all_open() -> None:
    before = Sealer((OLD,))
    sealed = before.seal("t.c", b"x")
    assert SEALER.open("t.c", sealed) == b"x"
    with pytest.raises(SealError, match="not in the key file") as told:
        before.open("t.c", SEALER.seal("t.c", b"x"))
    assert told.value.where["key"] == NEW.fingerprint[:8]
    assert before.open("t.c", b'{"from": "before"}') == b'{"from": "before"}'


def test_a_sealer_may_be_sent_to_another_process() -> None:
    sealed = SEALER.seal("t.c", b"x")
    sent = pickle.loads(pickle.dumps(SEALER))  # noqa: S301 - our own
    assert sent == SEALER
    assert sent.open("t.c", sealed) == b"x"


def test_keys_are_in_no_message_and_no_repr() -> None:
    assert "secret" not in repr(SEALER)
    assert repr(OLD) == "Key(made_at='2026')"
    with pytest.raises(SealError, match="no key to seal with"):
        Sealer(())


def test_a_key_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "home" / "seal.keys", own=True)
    assert file.read() == ()
    found: list[tuple[Key, ...]] = []
    threads = [threading.Thread(target=lambda: found.append(file.make(NOW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {file.read()}
    assert [path.name for path in file.path.parent.iterdir()] == ["seal.keys"]
    assert file.path.stat().st_mode & 0o777 == 0o600
    (key,) = file.read()
    assert (key.made_at, len(key.secret)) == ("2026-03-05T12:00:00+00:00", 32)


def test_a_key_is_added_behind_the_others(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "seal.keys", own=True)
    first = file.make(NOW)
    sealer = Sealer(first, file.path)
    both = file.add(NOW)
    assert both[:1] == first
    assert file.read() == both
    assert file.path.stat().st_mode & 0o777 == 0o600
    # A process that began before that opens what is sealed with it now.
    assert sealer.open("t.c", Sealer(both).seal("t.c", b"x")) == b"x"


@pytest.mark.parametrize("text", ["", "# nothing\n", "2026 AAAA\n", "2026 no base64!\n", "junk\n"])
def test_what_is_no_key_file_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seal.keys"
    path.write_text(text, "utf-8")
    with pytest.raises(SealError, match="no key") as told:
        read_keys(path)
    assert "AAAA" not in str(told.value)


def test_a_key_file_that_others_may_read_is_refused_unless_somebody_else_minds_it(tmp_path: Path) -> None:
    path = tmp_path / "seal.keys"
    KeyFile(path, own=True).make(NOW)
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        KeyFile(path, own=True).read()
    assert len(KeyFile(path, own=False).read()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SealError, match="cannot be written"):
        KeyFile(tmp_path / "seal.keys", own=True).make(NOW)
    tmp_path.chmod(0o700)


def test_a_repeatable_seal_is_the_same_for_the_same_text_in_the_same_place_alone() -> None:
    def sealed(what: str, text: str) -> str:
        return SEALER.seal_text(what, text, repeatable=True)

    assert sealed("t.c/1", "x") == sealed("t.c/1", "x")
    assert len({sealed("t.c/1", "x"), sealed("t.c/2", "x"), sealed("t.c/1", "y")}) == 3
    assert SEALER.open_text("t.c/1", sealed("t.c/1", "x")) == "x"
    assert sealed("t.c/1", "x") != Sealer((OLD,)).seal_text("t.c/1", "x", repeatable=True)
