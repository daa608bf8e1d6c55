"""A shop with people, profiles, scores, a backtest and a report, and one account for each role."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.access.permissions import ROLES
from jingzhe.app import models as fitted
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.server.api.application import create_api
from jingzhe.simulate import Business, orders_csv
from tests.server.api.client import Client

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PASSWORD = "plum rain over nine bridges"  # noqa: S105 - of nobody
BAD_LINE = "A1,C1,not a day,12.5\n"


@dataclass(frozen=True)
class Site:
    """An application and its project."""

    app: FastAPI
    workspace: Workspace
    clock: FixedClock

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.workspace.warehouse.state, self.clock)

    @property
    def keys(self) -> Keys:
        return Keys(self.workspace.warehouse.state, self.clock)

    def account(self, role: str) -> str:
        """Makes the account of a role where there is none; returns its address."""
        email = f"{role}@example.com"
        if email not in [one.email for one in self.accounts.all()]:
            _, link = self.accounts.invite(MACHINE, email, name=role.title(), role=role)
            self.accounts.set_password(link.token, PASSWORD)
        return email

    def signed_in(self, role: str) -> Client:
        client = Client(self.app)
        assert client.sign_in(self.account(role), PASSWORD).status_code == 200
        return client

    def with_key(self, *scopes: str) -> Client:
        return Client(self.app, key=self.keys.make(MACHINE, "test", scopes)[1])


@contextmanager
def _stocked(folder: Path) -> Iterator[Workspace]:
    """Opens a small business, up to date."""
    orders_csv(Business(people=150, seed=7, events_per_person=60.0), folder / "orders.csv")
    with open_workspace(folder / "home", clock=FixedClock(NOW), threads=1, state_url="") as workspace:
        workspace.import_(folder / "orders.csv")
        lines = "order,customer,day,amount\nA0,C0,2025-12-01,9.5\n" + BAD_LINE * 3
        (folder / "more.csv").write_text(lines, encoding="utf-8")
        mapping = {"order_id": "order", "customer_id": "customer", "ordered_at": "day", "amount": "amount"}
        workspace.import_(folder / "more.csv", mapping=mapping)
        workspace.update()
        yield workspace


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A small business at which all tests look."""
    with _stocked(tmp_path_factory.mktemp("shop")) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def site(shop: Workspace) -> Iterator[Site]:
    """The application over the shop."""
    clock = shop.warehouse.clock
    assert isinstance(clock, FixedClock)
    clock.moment = NOW
    before = fitted.latest(shop.warehouse)
    yield from _site(shop, clock)
    # Else what the modules after this one see depends on the order in which they run.
    assert fitted.latest(shop.warehouse) == before, "a test has trained the models of the common shop"


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """The application over a shop of its own, for a test that writes by chance: it may merge people or name events."""
    with _stocked(tmp_path) as workspace:
        clock = workspace.warehouse.clock
        assert isinstance(clock, FixedClock)
        yield from _site(workspace, clock)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    """The application over a project without anything."""
    clock = FixedClock(NOW)
    with open_workspace(tmp_path / "home", clock=clock, threads=1) as workspace:
        yield from _site(workspace, clock)


def _site(workspace: Workspace, clock: FixedClock) -> Iterator[Site]:
    app = create_api(workspace, log=Told())
    made = Site(app, workspace, clock)
    yield made
    app.state.services.close()


class Told:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []
        self.text = io.StringIO()

    def info(self, event: str, **values: object) -> None:
        self.lines.append({"event": event, **values})

    warning = error = info


__all__ = ["ROLES"]
