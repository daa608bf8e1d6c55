"""Kinds of identity keys: how each is written in one way, how strong it is, and what it may do.

One line of :data:`KINDS` is one kind. Keys that say who somebody is outside this system (a phone number, an e-mail
address) are personal and stored as a keyed hash only.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from jingzhe.core.errors import SettingError

Normaliser = Callable[[str, str], str | None]
"""Takes a value and the project's region (ISO 3166); returns the one way of writing it, None where it is none."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+\Z")
_MOBILE_CN = re.compile(r"1[3-9]\d{9}\Z")
HASHED = "hashed:"
"""Marks a personal value that the lake, or a list that was made from it, has as the hash that the graph stores."""
OTHER = "hashed-text:"
"""The same of a text that stands in place of such a value and is none: it tells customers apart and joins nobody."""
_HASHED = re.compile(r"hashed:([0-9a-f]{32})\Z")
_OTHER = re.compile(r"hashed-text:[0-9a-f]{32}\Z")
BETWEEN = "-:._ "
"""Signs between the digits of ids that say nothing."""
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[A-Za-z0-9_.:-]+)?\Z")


class Key(NamedTuple):
    """One key of somebody: its kind (``phone``, ``openid/wx123``) and its value as the source writes it."""

    kind: str
    value: str


@dataclass(frozen=True)
class Kind:
    """One kind of key.

    Args:
        name: lower case; keys of kinds that exist once per app are called ``name/app``.
        normaliser: name of its way of writing, one of :data:`NORMALISERS`.
        strength: the strongest key of an observation says whose it is; higher is stronger.
        merges: True where two people who share such a key are one; False for keys that strangers may share
            (devices, cookies): they follow one person at a time and never join two.
        single: how many of the kind one person may have; None for any number.
        shared_after: a key seen with more than this many other joining keys belongs to nobody from then on;
            None for never.
        personal: True to store a keyed hash in place of the value.
        doc: what it is.
        same_as: name of the kind whose keys these are, under another name; empty where it is a kind of its own.
    """

    name: str
    normaliser: str
    strength: int
    merges: bool = True
    single: int | None = None
    shared_after: int | None = 50
    personal: bool = False
    doc: str = ""
    same_as: str = ""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("login", "plain", 100, single=1, doc="id of the account, given after signing in"),
        Kind(
            "customer",
            "plain",
            100,
            single=1,
            same_as="login",
            doc="key of a customer in imported files: the id of the account, unless the import says otherwise",
        ),
        Kind("member", "plain", 90, single=1, doc="number in the loyalty programme"),
        Kind("unionid", "plain", 85, single=1, doc="WeChat: one person over all apps of one owner"),
        Kind("phone", "phone", 80, single=3, personal=True, doc="telephone number, E.164"),
        Kind("email", "email", 70, single=5, personal=True, doc="e-mail address"),
        Kind("openid", "plain", 60, single=1, doc="WeChat: one person in one app; openid/<app>"),
        Kind("external", "plain", 55, single=1, doc="WeCom: a customer of one company; external/<corp>"),
        Kind("record", "plain", 40, doc="line of a list that has no key of its own: list:line"),
        Kind("till_card", "plain", 50, single=5, doc="card shown at the till"),
        Kind("device", "folded", 20, merges=False, shared_after=20, doc="a telephone or tablet"),
        Kind("cookie", "plain", 10, merges=False, shared_after=20, doc="a browser; the anonymous id of an SDK"),
    )
}
"""The kinds that ship; a project's rules may change them and add its own."""

NEVER: frozenset[str] = frozenset({
    "", "-1", "null", "(null)", "none", "nil", "nan", "n/a", "na", "undefined", "unknown",
    "anonymous", "guest", "test", "default", "true", "false", "[object object]", "无", "未知", "空", "游客",
    "9774d56d682e549c", "02:00:00:00:00:00", "+8613800138000", "test@test.com", "none@none.com", "a@a.com",
})  # fmt: skip
"""Values, in lower case, that programs and people write where they have none; the Android id is a maker's mistake."""


def _plain(value: str, region: str) -> str | None:
    del region
    return unicodedata.normalize("NFKC", value).strip() or None


def _folded(value: str, region: str) -> str | None:
    plain = _plain(value, region)
    return plain.lower() if plain else None


def _email(value: str, region: str) -> str | None:
    folded = _folded(value, region)
    address = folded.removeprefix("mailto:") if folded else ""
    return address if _EMAIL.match(address) else None


@lru_cache(maxsize=200_000)
def _phone(value: str, region: str) -> str | None:
    plain = _plain(value, region) or ""
    if region == "CN" and _MOBILE_CN.match(plain):
        return f"+86{plain}"  # what the library answers, a hundred times as fast
    try:
        number = phonenumbers.parse(plain, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


NORMALISERS: Mapping[str, Normaliser] = {"plain": _plain, "folded": _folded, "email": _email, "phone": _phone}
"""Ways of writing, by name."""


def base_kind(kind: str) -> str:
    """Returns the kind without the app: ``openid`` of ``openid/wx123``.

    Raises:
        SettingError: it is no name of a kind.
    """
    if not _NAME.match(kind):
        raise SettingError(
            f"{kind!r} is no kind of key", hint="Write a name in lower case, with /app where the key is of one app."
        )
    return kind.partition("/")[0]


def is_junk(value: str, never: frozenset[str]) -> bool:
    """Tells whether a normalised value stands for no value: listed, nothing but noughts, or one sign over and over.

    One sign counts from eight on: a shop's customer 7777 is somebody.
    """
    folded = value.lower()
    if folded in never:
        return True
    signs = set(folded) - set(BETWEEN)
    return signs <= {"0"} or (len(signs) == 1 and len(folded) >= 8)


def hidden(kind: str, value: str, salt: bytes) -> str:
    """Returns what is stored of a personal value: 128 bits of HMAC-SHA-256 under the project's salt, as hex.

    Not a plain SHA-256: there are some ten thousand million telephone numbers, and whoever gets hold of plain hashes
    has tried them all within minutes. The salt is a secret: it keeps a leaked list of hashes, an export or another
    project's list from being read or compared.

    Args:
        kind: part of what is hashed, so that equal values of two kinds differ.
        value: normalised.
        salt: the project's, 32 bytes.
    """
    return hmac.digest(salt, f"{kind}\0{value}".encode(), "sha256")[:16].hex()


def hash_filed(value: str) -> str | None:
    """Returns the hash that a value as the lake has it stands for, None where it is no such value.

    >>> hash_filed("hashed:00112233445566778899aabbccddeeff")
    '00112233445566778899aabbccddeeff'
    """
    found = _HASHED.match(value)
    return found[1] if found else None


def is_other(value: str) -> bool:
    """Tells whether a value, as the lake has it, is the hash of a text that is no value of its kind."""
    return _OTHER.match(value) is not None
