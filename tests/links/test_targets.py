"""Where a code may lead, and the address a scan is sent to."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.core.errors import SettingError
from jingzhe.links.targets import checked_target, checked_utm, destination

APP = "wx0123456789abcdef"


@pytest.mark.parametrize(
    ("target", "app_id"),
    [
        ("", ""), ("javascript:alert(1)", ""), ("JaVaScRiPt:alert(1)", ""), ("data:text/html,x", ""),
        ("//evil.example", ""),
        ("shop.example.com", ""), ("file:///etc/passwd", ""), ("https://", ""), ("https://localhost/", ""),
        ("http://127.0.0.1/", ""), ("http://[::1]/", ""), ("http://2130706433/", ""), ("http://till-3/", ""),
        ("https://me:secret@shop.example.com/", ""), ("https://shop.example.com/\r\nX: y", ""),
        ("https://shop.example.com\\@evil.example/", ""), ("https://shop.example.com/" + "a" * 2000, ""),
        ("https://shop.example.com:port/", ""), ("pages/index", "nonsense"), ("pages/../../x", APP), ("//pages", APP),
        ("pages/index#x", APP), ("javascript:alert(1)", APP),
    ],
)  # fmt: skip
def test_what_no_code_leads_to(target: str, app_id: str) -> None:
    with pytest.raises(SettingError):
        checked_target(target, app_id, private=False)


def test_what_a_code_leads_to() -> None:
    for url in ("https://shop.example.com/a?b=1#c", "http://shop.example.com:8080", "https://店铺.example/春"):
        assert checked_target(f" {url} ", "", private=False) == url
    assert checked_target("http://10.0.0.8/till", "", private=True) == "http://10.0.0.8/till"
    assert checked_target("/pages/shop/index?shelf=3", APP, private=False) == "pages/shop/index?shelf=3"


@pytest.mark.parametrize(
    ("target", "visitor", "expected"),
    [
        ("https://s.example/", "", "https://s.example/?utm_source=poster&utm_medium=qr"),
        ("https://s.example/a?b=1#c", "", "https://s.example/a?b=1&utm_source=poster&utm_medium=qr#c"),
        ("https://s.example/?utm_source=own", "", "https://s.example/?utm_source=own&utm_medium=qr"),
        ("https://s.example/", "v-1", "https://s.example/?utm_source=poster&utm_medium=qr&ajs_aid=v-1"),
        (
            "https://店.example/春?色=红", "",
            "https://xn--hxt.example/%E6%98%A5?%E8%89%B2=%E7%BA%A2&utm_source=poster&utm_medium=qr",
        ),
    ],
)  # fmt: skip
def test_the_address_of_a_scan(target: str, visitor: str, expected: str) -> None:
    utm = {"source": "poster", "medium": "qr"}
    assert destination(target, "", slug="k7m2", utm=utm, visitor=visitor) == expected


def test_a_mini_program_is_opened_and_told_the_code() -> None:
    found = destination("pages/shop/index?shelf=3", APP, slug="k7m2", utm={"source": "poster"}, visitor="v-1")
    parts = urlsplit(found)
    asked = {name: one[0] for name, one in parse_qs(parts.query).items()}
    assert (parts.scheme, parts.netloc, parts.path) == ("weixin", "dl", "/business/")
    assert (asked["appid"], asked["path"]) == (APP, "pages/shop/index")
    inner = {name: one[0] for name, one in parse_qs(asked["query"]).items()}
    assert inner == {"shelf": "3", "utm_source": "poster", "ajs_aid": "v-1", "jz_code": "k7m2"}


@given(st.text(max_size=60))
def test_whatever_a_target_holds_a_header_can_carry_it(tail: str) -> None:
    try:
        target = checked_target(f"https://shop.example.com/{tail}", "", private=False)
    except SettingError:
        return
    found = destination(target, "", slug="k7m2", utm={"source": "海报"})
    assert found.isascii()
    assert "\n" not in found
    assert "\r" not in found
    assert found.startswith("https://shop.example.com/")


def test_utm_parameters_are_known_ones() -> None:
    assert checked_utm({"medium": "qr", "source": "poster", "term": ""}) == {"source": "poster", "medium": "qr"}
    with pytest.raises(SettingError, match="colour"):
        checked_utm({"colour": "red"})
