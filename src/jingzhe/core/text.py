"""Words for people, in the two languages the product speaks."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]


class Text(NamedTuple):
    """The same words in English and in Chinese."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        """Returns the words in ``language``."""
        return self.zh if language == "zh" else self.en
