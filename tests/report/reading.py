"""Finds every bilingual text in what a report is made of, and reads HTML strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from typing import Any

from jingzhe.core.text import Text

VOID = {"meta", "link", "input", "br", "hr", "img"}


def texts_in(value: Any) -> Iterator[Text]:
    """Walks containers and dataclasses."""
    if isinstance(value, Text):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts_in(getattr(value, field.name))
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from texts_in(part)


def lacks_translation(text: Text) -> bool:
    """Returns whether English words stand in the Chinese form, or one of the forms is missing."""
    if bool(text.en.strip()) != bool(text.zh.strip()):
        return True
    chinese = re.search(r"[\u4e00-\u9fff]", text.zh) is not None
    sentence = re.search(r"[a-z]{2,}[ ,.][a-z]{2,}", text.en) is not None
    return re.search(r"[\u4e00-\u9fff]", text.en) is not None or (sentence and not chinese)


class Strict(HTMLParser):
    """Checks that elements are closed in order and collects what the tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append((tag, named))
        if "id" in named:
            self.ids.append(named["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "title"}:
            self.words.append(data)


def read(html: str) -> Strict:
    """Parses a page; fails where elements do not nest."""
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser
