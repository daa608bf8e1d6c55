"""Settings to stores: the catalogue of all tables, and the warehouse of one project."""

from __future__ import annotations

from pathlib import Path

from jingzhe.core.clock import Clock
from jingzhe.core.settings import Settings
from jingzhe.dormancy.columns import SCORES
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.store.catalogue import Catalogue
from jingzhe.store.engine import Engine
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import FACTS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.near import Near
from jingzhe.store.places import Place, place_of
from jingzhe.store.state import State
from jingzhe.store.state.seal_record import seal_with
from jingzhe.store.warehouse import Warehouse

CATALOGUE = Catalogue.of(*FACTS, PERSON_DAYS, PROFILES, SCORES)
"""Every table of the lake."""


def warehouse(settings: Settings, clock: Clock) -> Warehouse:
    """Opens the stores that the settings name; creates them where they are not there.

    Raises:
        LakeError: the lake's object store does not answer, or refuses.
        SealError: the key file is missing, is another project's, or cannot be read.
        SettingError: the lake's URL or an option of it cannot be used.
        StateError: the state store cannot be reached, or is of a newer version than this software.
    """
    options = {name: value.get_secret_value() for name, value in settings.lake_options.items()}
    place = place_of(settings.resolved_lake_url, options)
    place.check()
    near = place.near(settings.resolved_cache_folder, settings.lake_cache_mb * 10**6)
    home = Path(settings.home)
    home.mkdir(parents=True, exist_ok=True)
    state = State.open(settings.resolved_state_url, clock=clock)
    try:
        seal_with(state, settings.key_file)
    except BaseException:
        state.close()
        raise
    return Warehouse(
        CATALOGUE,
        state,
        Lake(place.root, place.options, near),
        _engine(settings, place, near),
        clock,
        settings.wait_seconds,
    )


def _engine(settings: Settings, place: Place, near: Near) -> Engine:
    work_folder = Path(settings.home).absolute() / "tmp"
    if settings.engine == "duckdb":
        return DuckEngine(work_folder, settings.memory_limit_mb, settings.threads, near)
    from jingzhe.store.engine.spark import SparkEngine  # noqa: PLC0415 - loads the translator, which DuckDB does not need

    return SparkEngine(settings.engine, place, work_folder, settings.engine_options, settings.memory_limit_mb)
