"""Which fields of a person say yes or no: defaults here, a project's own in a document of the state store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jingzhe.consent.addresses import ANY, PERSONALISATION, checked_name
from jingzhe.core.errors import SettingError
from jingzhe.store.state import State

DOCUMENT = ("consent", "traits")
YES = frozenset({"true", "1", "yes", "y", "on", "granted", "subscribed", "opted_in", "是", "同意", "已订阅"})
NO = frozenset({
    "false", "0", "no", "n", "off", "withdrawn", "denied", "unsubscribed", "opted_out", "否", "不同意", "已退订",
})  # fmt: skip


@dataclass(frozen=True)
class Field:
    """What a field of a person is about.

    Args:
        grants: channels that a yes is for.
        withdraws: channels that a no is for; ``*`` for all.
        purpose: what for.
        reversed: True where yes means no, as in ``do_not_email``.
    """

    grants: tuple[str, ...]
    withdraws: tuple[str, ...]
    purpose: str = "marketing"
    reversed: bool = False


DEFAULTS: Mapping[str, Field] = {
    "marketing_opt_in": Field(("email",), (ANY,)),
    "email_opt_in": Field(("email",), ("email",)),
    "email_marketing_consent": Field(("email",), ("email",)),
    "email_subscribed": Field(("email",), ("email",)),
    "sms_opt_in": Field(("sms",), ("sms",)),
    "sms_marketing_consent": Field(("sms",), ("sms",)),
    "push_opt_in": Field(("push",), ("push",)),
    "do_not_email": Field(("email",), ("email",), reversed=True),
    "do_not_contact": Field((), (ANY,), reversed=True),
    "personalisation_opt_in": Field((ANY,), (ANY,), PERSONALISATION),
    "do_not_personalise": Field((ANY,), (ANY,), PERSONALISATION, reversed=True),
}
"""By name of the field, in small letters. A yes without a channel is taken for e-mail only, a no for every channel."""
STRUCTURED = "consent"
"""A field whose value names channels: ``{"email": true, "sms": false}``, or purposes with channels in them."""


def fields_of(state: State) -> dict[str, Field]:
    """Returns what fields mean to a project, the defaults included."""
    document = state.document(*DOCUMENT)
    own = document.body if document else {}
    found = dict(DEFAULTS)
    for name, said in own.items():
        if said is None:
            found.pop(name, None)
        else:
            found[name] = Field(
                tuple(said["grants"]), tuple(said["withdraws"]), said["purpose"], bool(said["reversed"])
            )
    return found


def set_field(state: State, name: str, means: Field | None) -> None:
    """Says what a field of a person means from now on.

    Args:
        state: the state store.
        name: of the field; capitals do not count.
        means: None to pass it over, the defaults' too.

    Raises:
        SettingError: the name is empty, or a channel or the purpose cannot be.
    """
    if not name.strip():
        raise SettingError("A field needs a name", field="name")
    body: dict[str, Any] | None = None
    if means is not None:
        checked_name(means.purpose, "purpose")
        for channel in means.grants:
            checked_name(channel, "channel", any_allowed=means.purpose == PERSONALISATION)
        for channel in means.withdraws:
            checked_name(channel, "channel", any_allowed=True)
        body = {
            "grants": list(means.grants), "withdraws": list(means.withdraws), "purpose": means.purpose,
            "reversed": means.reversed,
        }  # fmt: skip
    document = state.document(*DOCUMENT)
    state.put_document(*DOCUMENT, {**(document.body if document else {}), name.strip().lower(): body})


def truth(value: object) -> bool | None:
    """Returns whether a value says yes or no; None where it says neither, and then nothing is concluded."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    return True if text in YES else False if text in NO else None
