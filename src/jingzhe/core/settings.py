"""Settings of one project, from its folder's ``jingzhe.toml`` and from ``JINGZHE_*`` in the environment.

The environment wins over the file, an argument wins over both.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from jingzhe.core.errors import SettingError

FILE_NAME = "jingzhe.toml"


class Settings(BaseSettings):
    """What a keeper may set; every value has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="JINGZHE_", extra="forbid")

    home: Path = Field(default=Path("jingzhe-data"), description="folder of the project")
    state_url: str = Field(
        default="", description="SQLAlchemy URL of the state store; empty: SQLite in the project's folder"
    )
    lake_url: str = Field(default="", description="folder of the lake; empty: in the project's folder")
    timezone: str = Field(default="UTC", description="IANA zone in which days begin and files are read")
    currency: str = Field(default="", description="ISO 4217 code for amounts that carry none; empty: none")
    industry: str = Field(default="general", description="industry pack with the thresholds of the states")
    states: dict[str, float] = Field(
        default_factory=dict, description="own thresholds in place of the pack's, by name (dormant_after_days = 90)"
    )
    rfm_method: Literal["quantile", "mean", "given"] = Field(
        default="quantile", description="how the thresholds of the RFM classes are found"
    )
    rfm_thresholds: tuple[float, float, float] | None = Field(
        default=None, description="for the method given: recency in days, orders, net spend"
    )
    language: Literal["en", "zh"] = Field(default="en", description="language of lists and messages")
    memory_limit_mb: int = Field(default=3000, ge=256, description="memory of the query engine, MB")
    threads: int = Field(default=0, ge=0, description="threads of the query engine; 0: one per core")
    wait_seconds: float = Field(default=60.0, ge=0, description="how long to wait for another writer")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone; examples: Asia/Shanghai, Europe/London, UTC")
        return str(ZoneInfo(value))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leaves arguments and environment; the file is merged by :func:`load`, which knows the folder."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings

    @property
    def resolved_state_url(self) -> str:
        """Returns the URL of the state store."""
        return self.state_url or f"sqlite:///{(self.home / 'state.db').absolute()}"

    @property
    def resolved_lake_url(self) -> str:
        """Returns the folder (or URL) of the lake."""
        return self.lake_url or str((self.home / "lake").absolute())


def load(home: str | Path | None = None, **given: Any) -> Settings:
    """Reads the settings of the project in ``home``.

    Args:
        home: the project's folder; None: ``JINGZHE_HOME`` or ``jingzhe-data``.
        given: values that win over environment and file.

    Returns:
        the settings, checked.

    Raises:
        SettingError: a value cannot be used, or the file cannot be read; says which and where.
    """
    first: dict[str, Any] = {} if home is None else {"home": Path(home)}
    try:
        folder = Settings(**first).home if home is None else Path(home)
        path = folder / FILE_NAME
        in_file = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
        environment = Settings(**first).model_dump(exclude_unset=True)
        return Settings(**{**in_file, **environment, "home": folder, **given})
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"The settings file is not TOML: {error}", file=folder / FILE_NAME) from error
    except ValidationError as error:
        first_error = error.errors()[0]
        field = ".".join(str(part) for part in first_error["loc"])
        raise SettingError(
            f"The setting {field!r} cannot be used: {first_error['msg']}",
            hint=f"Set it in {FILE_NAME}, as JINGZHE_{field.upper()} or as an argument.",
            value=first_error.get("input"),
        ) from error
