"""Accounts: invite, change, disable, and links for a new password."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from jingzhe.access.accounts import Link
from jingzhe.access.permissions import ACCOUNTS_READ, ACCOUNTS_WRITE
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Language, Page, Role, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("accounts")
_LIST = "accounts"


class Invitation(Given):
    """Somebody who is to have an account."""

    email: str = Field(max_length=254, examples=["han.meimei@example.com"])
    name: str = Field(max_length=100, examples=["Han Meimei"])
    role: Role = Field(examples=["operator"])
    language: Language = "en"


class Change(Given):
    """What is to be changed; what is left out stays."""

    email: str | None = Field(default=None, max_length=254, examples=["han.meimei@example.com"])
    name: str | None = Field(default=None, max_length=100)
    role: Role | None = None
    language: Language | None = None
    disabled: bool | None = Field(default=None, description="true shuts the account and ends its sessions")


class AccountShown(Shown):
    """One account."""

    account_id: str
    email: str
    name: str
    role: Role
    language: Language
    has_password: bool = Field(description="false until they have set one by a link")
    created_at: datetime
    disabled_at: datetime | None = None


class LinkShown(Shown):
    """A one-time link, shown this once."""

    token: str
    path: str = Field(description="behind the console's address; the token stands behind #, which browsers do not send")
    purpose: Literal["first", "invitation", "reset"]
    expires_at: datetime


class Invited(Shown):
    """The new account, and the link to give to its owner."""

    account: AccountShown
    link: LinkShown


_ACCOUNT = {
    "account_id": "acc_7hq2mkw4x9ab", "email": "han.meimei@example.com", "name": "Han Meimei", "role": "operator",
    "language": "zh", "has_password": False, "created_at": "2026-03-05T08:00:00Z", "disabled_at": None,
}  # fmt: skip
_LINK = {
    "token": "q3nS1y0kJm5l8J8b0m2gVxT0c6n5w4Zr0b9s7d1fE2A", "purpose": "invitation",
    "path": "/#/set-password?token=q3nS1y0kJm5l8J8b0m2gVxT0c6n5w4Zr0b9s7d1fE2A",
    "expires_at": "2026-03-12T08:00:00Z",
}  # fmt: skip


def path_of(link: Link) -> str:
    """Returns the path of a link in the console."""
    return f"/#/set-password?token={link.token}"


@routes.add("GET", "/accounts", needs=ACCOUNTS_READ, example={"items": [_ACCOUNT], "next_cursor": None})
def list_accounts(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[AccountShown]:
    """Lists accounts by address of mail."""
    after = key_of(_LIST, cursor, str)[0] if cursor else ""
    found = served.accounts.all(after=after, limit=limit + 1)
    shown, following = page(_LIST, found, limit, lambda one: (one.email,))
    return Page(items=[AccountShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add(
    "POST", "/accounts", needs=ACCOUNTS_WRITE, status=201, secret_answer=True,
    example={"account": _ACCOUNT, "link": _LINK},
)  # fmt: skip
def invite(given: Invitation, caller: Caller, served: Served) -> Invited:
    """Makes an account and the link by which its owner sets a password."""
    made, link = served.accounts.invite(caller, given.email, name=given.name, role=given.role, language=given.language)
    return Invited(account=AccountShown.model_validate(made), link=_link(link))


@routes.add("GET", "/accounts/{account_id}", needs=ACCOUNTS_READ, example=_ACCOUNT)
def get_account(account_id: str, served: Served) -> AccountShown:
    """Shows one account."""
    return AccountShown.model_validate(served.accounts.get(account_id))


@routes.add("PATCH", "/accounts/{account_id}", needs=ACCOUNTS_WRITE, example=_ACCOUNT)
def change_account(account_id: str, given: Change, caller: Caller, served: Served) -> AccountShown:
    """Changes an account; when it is shut or its role changes, its sessions end."""
    changed = served.accounts.change(
        caller, account_id, email=given.email, name=given.name, role=given.role, language=given.language,
        disabled=given.disabled,
    )  # fmt: skip
    return AccountShown.model_validate(changed)


@routes.add("POST", "/accounts/{account_id}/link", needs=ACCOUNTS_WRITE, status=201, secret_answer=True, example=_LINK)
def make_link(account_id: str, caller: Caller, served: Served) -> LinkShown:
    """Makes a link by which the account's owner sets a new password; earlier links no longer work."""
    return _link(served.accounts.link(caller, account_id))


def _link(link: Link) -> LinkShown:
    return LinkShown(token=link.token, path=path_of(link), purpose=link.purpose, expires_at=link.expires_at)
