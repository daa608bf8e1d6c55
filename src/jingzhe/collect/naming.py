"""One name for one thing: which canonical event and which activity a client's name means.

The defaults stand here; a project's own stand in the state store and can be edited. What is changed holds for events
from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from jingzhe.collect.activities import KIND, UNKNOWN, activity_names, spelled
from jingzhe.collect.activities import NAME as IMPORTED_NAMES
from jingzhe.core.errors import SettingError
from jingzhe.store.facts import ACTIVITIES
from jingzhe.store.state import State

NAME = "live-names"


class Meaning(NamedTuple):
    """What a name means: the canonical name and the activity."""

    name: str
    activity: str


def _meant(name: str, activity: str, *others: str) -> dict[str, Meaning]:
    return dict.fromkeys((name, *others), Meaning(name, activity))


DEFAULTS: Mapping[str, Meaning] = {
    **_meant("page_viewed", "visit", "$pageview", "$mpviewscreen", "page_view", "pageview"),
    **_meant("screen_viewed", "visit", "$appviewscreen"),
    **_meant("app_opened", "visit", "application_opened", "$appstart", "$mplaunch", "$mpshow", "$mgshow"),
    **_meant("app_installed", "visit", "application_installed", "$appinstall"),
    **_meant("element_clicked", "interaction", "$webclick", "$appclick", "$mpclick"),
    **_meant("product_viewed", "view", "$product_viewed"),
    **_meant("product_list_viewed", "view"),
    **_meant("product_searched", "search", "products_searched"),
    **_meant("cart_added", "cart", "product_added", "add_to_cart", "addtocart"),
    **_meant("cart_removed", "cart", "product_removed"),
    **_meant("cart_viewed", "cart"),
    **_meant("checkout_started", "cart"),
    **_meant("wishlist_added", "favourite", "product_added_to_wishlist", "add_to_wishlist"),
    **_meant("order_completed", "purchase", "order_paid", "payorder", "pay_order"),
    **_meant("order_refunded", "refund"),
    **_meant("order_cancelled", "refund", "order_canceled"),
    **_meant("coupon_entered", UNKNOWN),
    **_meant("coupon_applied", UNKNOWN),
    **_meant("coupon_denied", UNKNOWN),
    **_meant("coupon_removed", UNKNOWN),
    **_meant("signed_up", "login", "$signup"),
    **_meant("signed_in", "login", "login"),
    **_meant("message_delivered", "message_delivered", "email_delivered"),
    **_meant("message_opened", "message_opened", "email_opened"),
    **_meant("message_clicked", "message_clicked", "email_link_clicked", "email_clicked"),
    **_meant("message_bounced", "message_bounced", "email_bounced"),
    **_meant("message_complained", "message_complained", "email_marked_as_spam", "email_complained"),
    **_meant("message_unsubscribed", "message_unsubscribed", "unsubscribed", "email_unsubscribed"),
    **_meant("push_received", "message_delivered", "push_notification_received", "$apppushreceived"),
    **_meant("push_tapped", "message_clicked", "push_notification_tapped", "$apppushclick"),
}
"""Meanings by name, in the spelling of :func:`jingzhe.collect.activities.spelled`."""

_CALLS = {"page": Meaning("page_viewed", "visit"), "screen": Meaning("screen_viewed", "visit")}


@dataclass
class Names:
    """What names mean to one project.

    Args:
        own: the project's meanings, those that it said for imports included; they go before the defaults.
        activities: activities by name, for names without a meaning of their own.
    """

    own: Mapping[str, Meaning] = field(default_factory=dict)
    activities: Mapping[str, str] = field(default_factory=dict)
    _known: dict[str, Meaning] = field(default_factory=dict, compare=False)

    def meaning(self, call: str, name: str) -> Meaning | None:
        """Returns what a call means; None for calls that are no behaviour (identify, group, alias, profile …).

        Args:
            call: its kind.
            name: as the client wrote it.
        """
        if call == "track":
            found = self._known.get(name)
            if found is None:
                found = self._look_up(name)
                if len(self._known) < 100_000:
                    self._known[name] = found
            return found
        return _CALLS.get(call)

    def _look_up(self, name: str) -> Meaning:
        plain = spelled(name)
        return self.own.get(plain) or DEFAULTS.get(plain) or Meaning(plain, self.activities.get(plain, UNKNOWN))


def names_of(state: State) -> Names:
    """Returns what names mean to a project."""
    said_for_imports = state.document(KIND, IMPORTED_NAMES)
    own = {
        name: Meaning(DEFAULTS[name].name if name in DEFAULTS else name, activity)
        for name, activity in (said_for_imports.body.items() if said_for_imports else ())
    }
    return Names(own | own_meanings(state), activity_names(state))


def set_meaning(
    state: State, name: str, canonical: str, activity: str, *, connection: Connection | None = None
) -> None:
    """Says what a client's name of an event means from now on; what is in the lake keeps its meaning.

    Args:
        state: where it is kept.
        name: as clients write it; capitals, spaces and hyphens do not count.
        canonical: what it is called in the lake.
        activity: one of the closed vocabulary.
        connection: a transaction that writes, to become part of; None: one of its own.

    Raises:
        SettingError: there is no such activity, or a name is empty.
    """
    if activity not in ACTIVITIES:
        raise SettingError(f"There is no activity {activity!r}", hint=f"One of: {', '.join(ACTIVITIES)}.")
    if not name.strip() or not canonical.strip():
        raise SettingError("An event needs a name", name=name, canonical=canonical)
    _edit(state, connection, lambda body: {**body, spelled(name): [spelled(canonical), activity]})


def forget_meaning(state: State, name: str, *, connection: Connection | None = None) -> None:
    """Lets a name mean what it does by default again.

    Args:
        state: where it is kept.
        name: as clients write it.
        connection: a transaction that writes, to become part of; None: one of its own.

    Raises:
        SettingError: the project has no meaning of its own for it.
    """

    def without(body: dict[str, Any]) -> dict[str, Any]:
        if body.pop(spelled(name), None) is None:
            raise SettingError("The project has no meaning of its own for this name", name=name)
        return body

    _edit(state, connection, without)


def own_meanings(state: State) -> dict[str, Meaning]:
    """Returns what the project itself has said of names of live events, by the name as :func:`spelled` writes it."""
    document = state.document(KIND, NAME)
    return {name: Meaning(*said) for name, said in document.body.items()} if document else {}


def _edit(state: State, connection: Connection | None, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    if connection is not None:
        state.edit_document(KIND, NAME, change, connection=connection)
        return
    with state.writing() as own:
        state.edit_document(KIND, NAME, change, connection=own)
