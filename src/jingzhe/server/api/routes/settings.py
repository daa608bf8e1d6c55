"""The project's settings, to look at."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from jingzhe.access.permissions import SETTINGS_READ
from jingzhe.core.settings import Settings
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Shown
from jingzhe.server.api.services import Served

routes = Routes("settings")


class SettingShown(Shown):
    """One setting."""

    name: str
    doc: str
    value: Any = Field(default=None, description="null where it is a secret")
    is_secret: bool
    is_set: bool = Field(description="whether it differs from the default")


_TIMEZONE = {
    "name": "timezone", "doc": "IANA zone in which days begin and files are read", "value": "Asia/Shanghai",
    "is_secret": False, "is_set": True,
}  # fmt: skip


@routes.add("GET", "/settings", needs=SETTINGS_READ, example=[_TIMEZONE])
def list_settings(served: Served) -> list[SettingShown]:
    """Lists the settings that are in force; secrets are masked."""
    own = served.workspace.settings
    shown = []
    for name, field in Settings.model_fields.items():
        value = getattr(own, name)
        # What is hidden in the settings' own text, and what holds secrets, is hidden here.
        secret = not field.repr or _holds_secret(value)
        plain = None if secret else own.model_dump(mode="json", include={name})[name]
        shown.append(
            SettingShown(
                name=name,
                doc=field.description or "",
                value=plain,
                is_secret=secret,
                is_set=value != field.get_default(call_default_factory=True),
            )
        )
    return shown


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_secret(one) for one in value.values())
    return isinstance(value, SecretStr)
