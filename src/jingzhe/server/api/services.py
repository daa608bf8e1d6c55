"""What the routes stand on, put together once per application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import Actor
from jingzhe.access.keys import Keys
from jingzhe.access.repeats import Repeats
from jingzhe.access.sessions import Limits, Sessions
from jingzhe.app.collecting import open_inbox
from jingzhe.app.exporting import Exports
from jingzhe.app.figures import Figures
from jingzhe.app.jobs import Jobs
from jingzhe.app.people import People
from jingzhe.app.workspace import Workspace
from jingzhe.core.log import Log
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox


@dataclass(frozen=True)
class Services:
    """What the routes stand on.

    Args:
        workspace: the project.
        accounts: who may sign in.
        sessions: who has.
        keys: of programs.
        repeats: answers to requests that come twice.
        people: single people.
        figures: everybody.
        jobs: long work.
        exports: tables and lists as files.
        inbox: live events that are not in the lake yet.
    """

    workspace: Workspace
    accounts: Accounts
    sessions: Sessions
    keys: Keys
    repeats: Repeats
    people: People
    figures: Figures
    jobs: Jobs
    exports: Exports
    inbox: Inbox

    @classmethod
    def of(cls, workspace: Workspace, limits: Limits | None = None, log: Log | None = None) -> Services:
        """Returns the services of a project; long work that fails is told to ``log``."""
        state, clock = workspace.warehouse.state, workspace.warehouse.clock
        figures = Figures(workspace)
        return cls(
            workspace,
            Accounts(state, clock),
            Sessions(state, clock, limits),
            Keys(state, clock),
            Repeats(state, clock),
            People(workspace),
            figures,
            Jobs(workspace, log),
            Exports(workspace, figures, log),
            open_inbox(workspace.settings),
        )

    @property
    def state(self) -> State:
        """Returns the state store."""
        return self.workspace.warehouse.state

    def now(self) -> datetime:
        """Returns the moment."""
        return self.workspace.warehouse.clock.now()

    def close(self) -> None:
        """Gives back what is held; the workspace stays open."""
        self.jobs.close()
        self.exports.close()
        self.people.close()
        self.figures.close()
        self.inbox.close()


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _caller(request: Request) -> Actor:
    found: Actor = request.state.actor
    return found


Served = Annotated[Services, Depends(_services)]
"""The services, as an argument of a route."""
Caller = Annotated[Actor, Depends(_caller)]
"""Who calls, as an argument of a route."""
