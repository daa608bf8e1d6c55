"""Which keys a project is sealed with, as fingerprints in the state store: another key file is refused, not used.

The fingerprints say nothing of the keys. A key that is gone for good is given up by name, so that a project whose file
was lost can go on; what was sealed with it stays closed for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jingzhe.core.errors import SealError
from jingzhe.core.seal_keys import Key, KeyFile
from jingzhe.core.sealing import Sealer
from jingzhe.store.state.sealed import use
from jingzhe.store.state.store import State

DOCUMENT = ("seal", "keys")
_WHERE = "or set seal_key_file (JINGZHE_SEAL_KEY_FILE) to where it stands"


@dataclass(frozen=True)
class Record:
    """What a state store knows of its keys.

    Args:
        known: fingerprints of the keys that seal or have sealed, in the order in which they were met.
        lost: fingerprints of those that were given up.
    """

    known: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def record_of(state: State) -> Record:
    """Returns what a state store knows of its keys."""
    document = state.document(*DOCUMENT)
    return _record(document.body if document else {})


def seal_with(state: State, file: KeyFile) -> Sealer:
    """Has a state store sealed with the keys of a file, which is made where nothing was sealed before.

    Args:
        state: the store.
        file: where the keys stand.

    Returns:
        what seals, for what stands outside the store.

    Raises:
        SealError: the file is missing, is another project's, lacks a key, cannot be read, or may be read by others.
    """
    known, keys = record_of(state), file.read()
    if not keys and not known.known:
        keys = file.make(state.now())
    _check(known, keys, file)
    if {key.fingerprint for key in keys} - set(known.known):
        _note(state, keys, file)
    sealer = Sealer(keys, file.path)
    use(state.dialect, sealer)
    return sealer


def rotate(state: State, file: KeyFile) -> Key:
    """Adds a key that seals from now on; the others go on opening. Returns it.

    Processes that run seal with the key they began with until they are started again, and open both.

    Args:
        state: the store, opened with the keys of ``file``.
        file: where the keys stand.

    Raises:
        SealError: the file cannot be read or written, or is not this project's.
    """
    _check(record_of(state), file.read(), file)
    keys = file.add(state.now())
    _note(state, keys, file)
    use(state.dialect, Sealer(keys, file.path))
    return keys[-1]


def give_up(state: State, file: KeyFile) -> tuple[str, ...]:
    """Gives up the keys that the file has not; makes a file where there is none. Returns their fingerprints.

    What was sealed with them can never be read again. Everything else works, and what comes from now on is sealed with
    a key of the file.

    Args:
        state: the store, opened without keys.
        file: where the keys stand.

    Raises:
        SealError: every known key is there, or the file cannot be read or written.
    """
    keys, known = file.read(), record_of(state)
    missing = _missing(known, keys)
    if not missing:
        raise SealError("No key is missing", hint="There is nothing to give up.", file=file.path)
    keys = keys or file.make(state.now())
    with state.writing() as connection:
        state.edit_document(
            *DOCUMENT,
            lambda body: _body(
                _together(_record(body).known, [key.fingerprint for key in keys], without=missing),
                _together(_record(body).lost, missing),
            ),
            connection=connection,
        )
    return missing


def _note(state: State, keys: tuple[Key, ...], file: KeyFile) -> None:
    """Writes down the keys of the file; what another process has written meanwhile counts as well."""

    def noted(body: Mapping[str, Any]) -> dict[str, Any]:
        now = _record(body)
        _check(now, keys, file)
        return _body(_together(now.known, [key.fingerprint for key in keys]), now.lost)

    with state.writing() as connection:
        state.edit_document(*DOCUMENT, noted, connection=connection)


def _check(known: Record, keys: tuple[Key, ...], file: KeyFile) -> None:
    missing = _missing(known, keys)
    if not missing:
        return
    if not keys:
        raise SealError(
            "The key file of this project is missing",
            hint=f"Restore it from its copy, {_WHERE}. Without it events that wait, refused events, messages that wait "
            "and personal fields of events cannot be read; orders, profiles, scores, consents and suppressions can. "
            "If it is lost for good: jingzhe seal give-up.",
            file=file.path,
            keys=", ".join(missing),
        )
    raise SealError(
        "The key file is not this project's, or lacks some of its keys",
        hint=f"Copy the key file of the host that sealed last, {_WHERE}. If the keys are lost for good: "
        "jingzhe seal give-up.",
        file=file.path,
        missing=", ".join(missing),
    )


def _missing(known: Record, keys: tuple[Key, ...]) -> tuple[str, ...]:
    there = {key.fingerprint for key in keys}
    return tuple(one for one in known.known if one not in there)


def _record(body: Mapping[str, Any]) -> Record:
    return Record(tuple(body.get("known", ())), tuple(body.get("lost", ())))


def _body(known: list[str], lost: tuple[str, ...] | list[str]) -> dict[str, Any]:
    return {"known": known, "lost": list(lost)}


def _together(first: tuple[str, ...], second: tuple[str, ...] | list[str], without: tuple[str, ...] = ()) -> list[str]:
    return [one for one in dict.fromkeys((*first, *second)) if one not in without]
