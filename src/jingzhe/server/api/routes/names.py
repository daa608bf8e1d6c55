"""Which canonical event and which activity a client's name of an event means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from jingzhe.access.permissions import NAMES_READ, NAMES_WRITE
from jingzhe.app.event_names import EventNames
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("event names")
_LIST = "event names"
Activity = Literal[
    "purchase", "refund", "cart", "favourite", "view", "search", "visit", "login", "interaction", "service",
    "message_delivered", "message_opened", "message_clicked", "message_bounced", "message_complained",
    "message_unsubscribed",
]  # fmt: skip
Name = Annotated[
    str,
    Path(
        min_length=1, max_length=200, examples=["Till Receipt"],
        description="as clients write it; capitals, spaces and hyphens do not count",
    ),
]  # fmt: skip


class NewMeaning(Given):
    """What a name means."""

    canonical: str = Field(
        min_length=1, max_length=200, description="its name in the lake", examples=["order_completed"]
    )
    activity: Activity = Field(examples=["purchase"])


class MeaningShown(Shown):
    """What a name means."""

    name: str
    canonical: str
    activity: Activity
    origin: Literal["project", "import", "default"] = Field(description="who said so")


_MEANING = {"name": "till_receipt", "canonical": "order_completed", "activity": "purchase", "origin": "project"}


@routes.add("GET", "/event-names", needs=NAMES_READ, example={"items": [_MEANING], "next_cursor": None})
def list_names(
    served: Served,
    limit: Limit = 50,
    cursor: Cursor = None,
    own: Annotated[bool, Query(description="only what the project itself has said")] = False,
) -> Page[MeaningShown]:
    """Lists names with what they mean, by name."""
    after = key_of(_LIST, cursor, str)[0] if cursor else ""
    found = [one for one in _of(served).all(own_only=own) if one.name > after]
    shown, following = page(_LIST, found, limit, lambda one: (one.name,))
    return Page(items=[MeaningShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add("GET", "/event-names/{name:path}", needs=NAMES_READ, example=_MEANING)
def get_name(name: Name, served: Served) -> MeaningShown:
    """Says what an event of this name becomes; a name that nobody said anything of is an interaction."""
    return MeaningShown.model_validate(_of(served).get(name))


@routes.add("PUT", "/event-names/{name:path}", needs=NAMES_WRITE, example=_MEANING)
def put_name(name: Name, given: NewMeaning, caller: Caller, served: Served) -> MeaningShown:
    """Says what a name means from now on; what is in the lake keeps its meaning."""
    return MeaningShown.model_validate(_of(served).put(caller, name, given.canonical, given.activity))


@routes.add("DELETE", "/event-names/{name:path}", needs=NAMES_WRITE, example={**_MEANING, "origin": "default"})
def forget_name(name: Name, caller: Caller, served: Served) -> MeaningShown:
    """Lets a name mean what it does by default again; answers with that."""
    return MeaningShown.model_validate(_of(served).forget(caller, name))


def _of(served: Any) -> EventNames:
    return EventNames(served.state, served.workspace.warehouse.clock)
