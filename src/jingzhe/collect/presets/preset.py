"""What a preset says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jingzhe.collect.sources import Input
from jingzhe.collect.values import DecimalStyle, TimeStyle
from jingzhe.core.text import Text
from jingzhe.store.engine import LocalSession

Loader = Callable[[LocalSession, Path], list[Input]]


@dataclass(frozen=True)
class Preset:
    """How the files of one kind are read.

    Args:
        name: what people call it; the source that its facts carry unless they say otherwise.
        doc: what it is for.
        mapping: columns by field; an empty name says that the field is not there, others are guessed.
        dates: how times are written; None: guessed.
        decimal: what stands before the decimals; None: guessed.
        loader: brings data of its own, given an engine session and a folder for copies; None: files are given.
    """

    name: str
    doc: Text
    mapping: Mapping[str, str] = field(default_factory=dict)
    dates: TimeStyle | None = None
    decimal: DecimalStyle | None = None
    loader: Loader | None = None

    def document(self) -> dict[str, Any]:
        """Returns the preset as plain JSON; a loader cannot be saved."""
        return {"doc": list(self.doc), "mapping": dict(self.mapping), "dates": self.dates, "decimal": self.decimal}

    @classmethod
    def from_document(cls, name: str, body: Mapping[str, Any]) -> Preset:
        """Returns the preset that :meth:`document` wrote."""
        return cls(name, Text(*body["doc"]), body["mapping"], body["dates"], body["decimal"])
