"""Settings to stores: the catalogue of all tables, and the warehouse of one project."""

from __future__ import annotations

from pathlib import Path

from jingzhe.core.clock import Clock
from jingzhe.core.settings import Settings
from jingzhe.dormancy.columns import SCORES
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.store.catalogue import Catalogue
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import FACTS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.state import State
from jingzhe.store.warehouse import Warehouse

CATALOGUE = Catalogue.of(*FACTS, PERSON_DAYS, PROFILES, SCORES)
"""Every table of the lake."""


def warehouse(settings: Settings, clock: Clock) -> Warehouse:
    """Opens the stores that the settings name; creates them where they are not there.

    Raises:
        StateError: the state store cannot be reached, or is of a newer version than this software.
    """
    home = Path(settings.home)
    home.mkdir(parents=True, exist_ok=True)
    return Warehouse(
        CATALOGUE,
        State.open(settings.resolved_state_url, clock=clock),
        Lake(settings.resolved_lake_url),
        DuckEngine(home / "tmp", settings.memory_limit_mb, settings.threads),
        clock,
        settings.wait_seconds,
    )
