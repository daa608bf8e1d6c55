"""Who is one person: merges with their explanation, decisions by hand, and the rules.

Each decision stands in the audit trail, written in the transaction that carries it out: who, why, numbers of people and
kinds of keys, never their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.app.workspace import Workspace
from jingzhe.identity import apart, linking, listing, merges, ruling, shared
from jingzhe.identity.deciding import Also, By, Decision
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import Undone
from jingzhe.identity.ruling import Kept

ACTIONS: Mapping[str, str] = {
    "undo": "identity.undone",
    "merge": "identity.merged",
    "split": "identity.split",
    "keep apart": "identity.kept-apart",
    "allow again": "identity.allowed-again",
    "keep keys apart": "identity.keys-kept-apart",
    "allow keys again": "identity.keys-allowed-again",
    "link accepted": "identity.link-accepted",
    "link rejected": "identity.link-rejected",
}
"""What the trail calls each decision."""

Pair = tuple[Key | int, Key | int]


@dataclass(frozen=True)
class Identities:
    """The identity graph of a project, for whoever decides about people.

    Args:
        workspace: the project.
    """

    workspace: Workspace

    def undo(self, by: Actor, merge_id: int, why: str, *, everything: bool = False, who: str = "") -> Undone:
        """Takes a merge back; see :func:`jingzhe.identity.listing.undo_merge`."""
        return listing.undo_merge(
            self._state, merge_id, _by(by, why, who), clock=self._clock, everything=everything, also=telling(by)
        )

    def merge(self, by: Actor, people: tuple[int, int], why: str, *, who: str = "") -> int:
        """Makes two people one; see :func:`jingzhe.identity.merges.merge`."""
        self.workspace.adopt()
        return merges.merge(self._state, *people, _by(by, why, who), clock=self._clock, also=telling(by))

    def keep_apart(self, by: Actor, people: tuple[int, int], why: str, *, who: str = "") -> int:
        """Keeps two people apart; see :func:`jingzhe.identity.merges.keep_apart`."""
        self.workspace.adopt()
        return merges.keep_apart(self._state, *people, _by(by, why, who), clock=self._clock, also=telling(by))

    def allow_again(self, by: Actor, people: tuple[int, int], why: str, *, who: str = "") -> int:
        """Lifts that; see :func:`jingzhe.identity.merges.allow_again`."""
        return merges.allow_again(self._state, *people, _by(by, why, who), clock=self._clock, also=telling(by))

    def keep_keys_apart(self, by: Actor, keys: Pair, why: str, *, who: str = "") -> int:
        """Keeps two keys apart; see :func:`jingzhe.identity.apart.keep_keys_apart`."""
        self.workspace.adopt()
        return apart.keep_keys_apart(self._state, *keys, _by(by, why, who), clock=self._clock, also=telling(by))

    def allow_keys_again(self, by: Actor, keys: Pair, why: str, *, who: str = "") -> int:
        """Lifts that; see :func:`jingzhe.identity.apart.allow_keys_again`."""
        return apart.allow_keys_again(self._state, *keys, _by(by, why, who), clock=self._clock, also=telling(by))

    def accept(self, by: Actor, person_a: int, person_b: int, why: str, *, who: str = "") -> int:
        """Accepts a proposal; see :func:`jingzhe.identity.linking.accept`."""
        decided = _by(by, why, who)
        return linking.accept(self._state, person_a, person_b, decided, clock=self._clock, also=telling(by))

    def reject(self, by: Actor, person_a: int, person_b: int, why: str, *, who: str = "") -> None:
        """Rejects a proposal; see :func:`jingzhe.identity.linking.reject`."""
        decided = _by(by, why, who)
        linking.reject(self._state, person_a, person_b, decided, clock=self._clock, also=telling(by))

    def split(self, by: Actor, number: int, why: str, *, who: str = "") -> tuple[int, ...]:
        """Splits who hangs on a key that is nobody's; see :func:`jingzhe.identity.shared.split_shared`."""
        return shared.split_shared(self._state, number, _by(by, why, who), clock=self._clock, also=telling(by))

    # ---- rules

    def change_rules(self, by: Actor, given: Mapping[str, Any], why: str, *, based_on: int | None = None) -> Kept:
        """Makes rules the project's; see :func:`jingzhe.identity.ruling.change_rules`."""
        return ruling.change_rules(self._state, given, based_on=based_on, also=self._ruled(by, {"why": why}))

    def restore_rules(self, by: Actor, version: int, why: str) -> Kept:
        """Makes an earlier version hold again; see :func:`jingzhe.identity.ruling.restore_rules`."""
        return ruling.restore_rules(self._state, version, also=self._ruled(by, {"why": why, "restored": version}))

    def never_join(self, by: Actor, kind: str, value: str, why: str, *, split: bool = False) -> Kept:
        """Lets a value join nobody; see :func:`jingzhe.identity.ruling.never_join`."""
        return ruling.never_join(
            self._state, kind, value, split=_by(by, why, "") if split else None, telling=telling(by),
            also=self._ruled(by, {"why": why, "never_of": kind}),
        )  # fmt: skip

    @property
    def _state(self) -> Any:
        return self.workspace.warehouse.state

    @property
    def _clock(self) -> Any:
        return self.workspace.warehouse.clock

    def _ruled(self, by: Actor, details: Mapping[str, Any]) -> Callable[[Connection, int], object]:
        def also(connection: Connection, version: int) -> None:
            audit.record(
                connection, self._clock.now(), by, "identity.rules-changed", f"rules:{version}", details=details
            )

        return also


def telling(by: Actor) -> Also:
    """Returns what writes a decision into the audit trail."""

    def also(connection: Connection, decision: Decision) -> None:
        audit.record(
            connection, decision.at, by, ACTIONS[decision.action], _subject(decision), details=_details(decision)
        )

    return also


def _subject(decision: Decision) -> str:
    details = decision.details
    people = [details.get("kept") or details.get("from") or 0, *details.get("people", [])]
    return next((f"person:{person}" for person in people if person), "")


def _details(decision: Decision) -> dict[str, Any]:
    """Returns what the trail says: keys by their kinds only, for their values may be somebody's name."""
    told: dict[str, Any] = {"change": decision.change, "who": decision.who, "why": decision.why}
    for name, value in decision.details.items():
        told[name] = _kinds(value) if name == "keys" else value
    return told


def _kinds(keys: Any) -> list[Any]:
    return [_kinds(key) if isinstance(key[0], list) else key[0] for key in keys]


def _by(by: Actor, why: str, who: str) -> By:
    return By(who or by.label, why)
