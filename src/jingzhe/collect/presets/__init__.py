"""Presets: the shapes of well-known exports. A new one is one file here and one line below."""

from __future__ import annotations

from jingzhe.collect.presets import complete_journey, online_retail
from jingzhe.collect.presets.preset import Preset
from jingzhe.core.errors import ImportRefusedError
from jingzhe.store.state import State

KIND = "preset"
"""Kind of the documents that keep presets saved by people."""

SHIPPED: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        complete_journey.PRESET,
        online_retail.PRESET,
    )
}


def find_preset(state: State, name: str) -> Preset:
    """Returns a preset by its name: saved in this project, or shipped.

    Raises:
        ImportRefusedError: there is none; names those there are.
    """
    saved = state.document(KIND, name)
    if saved is not None:
        return Preset.from_document(name, saved.body)
    if name in SHIPPED:
        return SHIPPED[name]
    raise ImportRefusedError(
        f"There is no preset {name!r}", hint=f"Presets: {', '.join(one.name for one in presets(state))}."
    )


def presets(state: State) -> list[Preset]:
    """Returns all presets, saved ones in place of shipped ones of the same name."""
    saved = {one.name: Preset.from_document(one.name, one.body) for one in state.documents(KIND)}
    return sorted({**SHIPPED, **saved}.values(), key=lambda one: one.name)


def save_preset(state: State, preset: Preset) -> None:
    """Saves a preset under its name, in place of an older one."""
    state.put_document(KIND, preset.name, preset.document())


__all__ = ["KIND", "SHIPPED", "Preset", "find_preset", "presets", "save_preset"]
