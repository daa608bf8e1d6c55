"""Settings of one project, from its folder's ``jingzhe.toml`` and from ``JINGZHE_*`` in the environment.

The environment wins over the file, an argument wins over both.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from jingzhe.core.errors import SettingError
from jingzhe.core.seal_keys import FILE_NAME as SEAL_FILE
from jingzhe.core.seal_keys import KeyFile

FILE_NAME = "jingzhe.toml"
_ENGINE = re.compile(r"duckdb|local(\[(\d+|\*)\])?|(spark|sc)://[^\s/]+(/\S*)?")
_ADDRESS = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(:\d+)?/?")
_SECRET = frozenset({"state_url", "lake_options", "engine_options"})
"""Settings whose values are never shown."""


class Settings(BaseSettings):
    """What a keeper may set; every value has a default that works on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="JINGZHE_", env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True
    )

    home: Path = Field(default=Path("jingzhe-data"), description="folder of the project")
    state_url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="SQLAlchemy URL of the state store; empty: SQLite in the project's folder",
    )
    lake_url: str = Field(
        default="", description="folder of the lake, or s3://bucket/prefix; empty: in the project's folder"
    )
    lake_options: dict[str, SecretStr] = Field(
        default_factory=dict, description="how an object store is reached (aws_endpoint_url, keys, time-outs), by name"
    )
    lake_cache_folder: Path | None = Field(
        default=None, description="folder of the copies of an object store's files; empty: in the project's folder"
    )
    lake_cache_mb: int = Field(default=20_000, ge=0, description="how much of an object store's files is kept, MB")
    seal_key_file: Path | None = Field(
        default=None, description="file of the keys that seal personal data; empty: in the project's folder"
    )
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
    engine: str = Field(
        default="duckdb", description="what runs the queries: duckdb, local[2], spark://host:7077 or sc://host:15002"
    )
    engine_options: dict[str, str] = Field(
        default_factory=dict,
        repr=False,  # they may hold keys
        description='Spark\'s own settings, by name (spark.executor.memory = "8g")',
    )
    memory_limit_mb: int = Field(default=3000, ge=256, description="memory of the query engine, MB")
    threads: int = Field(default=0, ge=0, description="threads of the query engine; 0: one per core")
    inbox_url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="URL of the inbox of live events; empty: beside the state store",
    )
    collect_requests_per_second: float = Field(
        default=20_000.0, ge=0, description="requests of one source that are taken in a second; 0: any number"
    )
    collect_inbox_mb: int = Field(default=4096, ge=1, description="how much may wait for the drain, MB")
    collect_free_mb: int = Field(default=512, ge=0, description="how much has to stay free on the disk, MB")
    dedupe_days: float = Field(
        default=7.0, ge=0, le=400, description="how long the same message of a source is known as the same, days"
    )
    public_url: str = Field(
        default="",
        description="address under which people reach the server (https://jingzhe.example.com): for links; with https, "
        "browsers send the session's cookie over TLS only",
    )
    links_url: str = Field(
        default="",
        description="address at which short links are reached from outside (https://go.shop.example), else public_url",
    )
    links_private: bool = Field(default=False, description="whether short links may lead into the own network")
    scan_cookie_days: int = Field(
        default=0, ge=0, le=400, description="how long a browser that followed a short link is known, days; 0: not"
    )
    scan_address: bool = Field(default=False, description="whether scans keep the client's address")
    webhook_private: bool = Field(default=False, description="whether webhooks may go into the own network")
    trace_endpoint: str = Field(
        default="", description="collector of traces, by OTLP over HTTP (http://otel:4318); empty: no traces"
    )
    export_hours: float = Field(default=24.0, gt=0, description="how long exported files are kept, hours")
    wait_seconds: float = Field(default=60.0, ge=0, description="how long to wait for another writer")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone; examples: Asia/Shanghai, Europe/London, UTC")
        return str(ZoneInfo(value))

    @field_validator("public_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError(f"{value!r} is no address of a server; an example: https://jingzhe.example.com")
        return value.rstrip("/")

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        if not _ENGINE.fullmatch(value):
            raise ValueError(
                f"{value!r} is no engine; examples: duckdb, local[2], spark://10.0.0.5:7077, sc://10.0.0.5:15002"
            )
        return value

    @field_validator("engine_options", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Takes numbers and truths, as TOML writes them, for the texts that Spark wants."""
        if not isinstance(value, dict):
            return value
        return {name: str(one).lower() if isinstance(one, bool | int | float) else one for name, one in value.items()}

    @field_validator("lake_options", mode="before")
    @classmethod
    def _lower_texts(cls, value: Any) -> Any:
        """Takes names in upper case, as the environment writes them, and numbers and truths, as TOML does."""
        if not isinstance(value, dict):
            return value
        return {
            name.lower(): str(one).lower() if isinstance(one, bool | int | float) else one
            for name, one in value.items()
        }

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
    def resolved_inbox_url(self) -> str:
        """Returns the URL of the inbox: a file of its own beside SQLite, a table of the same server otherwise."""
        if self.inbox_url or (self.state_url and not self.state_url.startswith("sqlite")):
            return self.inbox_url or self.state_url
        return self.resolved_state_url.removesuffix(".db") + "-inbox.db"

    @property
    def resolved_links_url(self) -> str:
        """Returns the address of short links; empty where no setting says it."""
        return self.links_url or self.public_url

    @property
    def is_public_over_tls(self) -> bool:
        """Tells whether people reach the server over TLS, which ends at a proxy: the server sees plain HTTP."""
        return self.public_url.startswith("https://")

    @property
    def resolved_lake_url(self) -> str:
        """Returns the folder (or URL) of the lake."""
        return self.lake_url or str((self.home / "lake").absolute())

    @property
    def key_file(self) -> KeyFile:
        """Returns where the keys stand that seal personal data."""
        own = self.seal_key_file is None
        return KeyFile((self.seal_key_file or self.home / SEAL_FILE).absolute(), own)

    @property
    def resolved_cache_folder(self) -> Path:
        """Returns the folder of the copies of an object store's files."""
        return self.lake_cache_folder or self.home.absolute() / "cache"


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
        merged = {**in_file, **environment, "home": folder, **given}
        if "lake_options" in merged:
            # One by one: the address stands well in the file, the key better in the environment.
            merged["lake_options"] = _together("lake_options", in_file, environment, given)
        return Settings(**merged)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"The settings file is not TOML: {error}", file=folder / FILE_NAME) from error
    except ValidationError as error:
        first_error = error.errors()[0]
        field = ".".join(str(part) for part in first_error["loc"])
        raise SettingError(
            f"The setting {field!r} cannot be used: {first_error['msg']}",
            hint=f"Set it in {FILE_NAME}, as JINGZHE_{field.upper()} or as an argument.",
            value=None if first_error["loc"][0] in _SECRET else first_error.get("input"),
        ) from error
    except SettingsError as error:
        # Not from it: what could not be read may hold a secret.
        raise SettingError(f"The environment cannot be read: {error}", hint="Write tables as JSON.") from None


def _together(name: str, *tables: dict[str, Any]) -> Any:
    """Returns a setting that is a table, its entries taken from the last of ``tables`` that has them."""
    joined: dict[str, Any] = {}
    for one in tables:
        entries = one.get(name, {})
        if not isinstance(entries, dict):
            return entries  # for the check to refuse
        joined |= {key.lower(): value for key, value in entries.items()}
    return joined
