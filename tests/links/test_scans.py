"""A scan as an event: what it says, who did it, and that the drain takes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.links.codes import Code, Codes, NewCode
from jingzhe.links.scans import Seen, host_of, is_bot, scanned, visitor_in
from tests.collect.live import NOON, live

CODE = Code(
    "Poster", "https://shop.example.com/", "qr_code", "store poster", "spring", utm={"source": "poster"},
    slug="k7m2xw9qpa", source_id=7,
)  # fmt: skip
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
WECHAT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/122 Mobile Safari/537.36 MicroMessenger/8.0.47"
SEEN = Seen(PHONE, "blog.example", False, "visitor-123", "public-v4")


@pytest.mark.parametrize(
    "agent",
    [
        "", "Googlebot/2.1", "Mozilla/5.0 (compatible; bingbot/2.0)", "facebookexternalhit/1.1",
        "TelegramBot (like TwitterBot)", "WhatsApp/2.23", "Slackbot-LinkExpanding 1.0", "curl/8.5",
        "python-requests/2.31", "Mozilla/5.0 HeadlessChrome/122",
        "Mozilla/5.0 (compatible; Baiduspider/2.0)", "Sogou web spider/4.0",
    ],
)  # fmt: skip
def test_bots_and_previews_are_told_apart(agent: str) -> None:
    assert is_bot(agent)


def test_people_are_no_bots_unless_the_browser_fetches_ahead() -> None:
    assert not is_bot(PHONE)
    assert not is_bot(WECHAT)
    assert is_bot(PHONE, "prefetch")


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("", ""), ("a=b", ""), ("jz_aid=visitor-123", "visitor-123"), ("jz_aid=short", ""),
        ("x=1; ajs_anonymous_id=%22sdk-visitor-1%22; jz_aid=visitor-123", "sdk-visitor-1"),
        ("jz_aid=<script>alert(1)</script>", ""),
    ],
)  # fmt: skip
def test_the_visitor_in_cookies(cookies: str, expected: str) -> None:
    assert visitor_in(cookies) == expected


def test_of_a_referrer_the_host_alone_is_kept() -> None:
    assert host_of("https://blog.example/me?token=secret") == "blog.example"
    assert host_of("http://[broken") == host_of("") == ""


def said(seen: Seen) -> dict[str, object]:
    found: dict[str, object] = json.loads(scanned(CODE, seen, NOON).body)
    return found


def test_a_scan_is_filed_under_its_visitor_a_bot_under_none() -> None:
    assert said(SEEN)["anonymousId"] == "visitor-123"
    assert said(SEEN._replace(visitor=""))["anonymousId"] == "anyone-k7m2xw9qpa"
    assert said(SEEN._replace(bot=True))["anonymousId"] == "bot-k7m2xw9qpa"


def test_the_address_is_kept_only_where_it_is_given() -> None:
    assert "203.0.113.9" not in str(said(SEEN))
    properties = said(SEEN._replace(address="203.0.113.9"))["properties"]
    assert isinstance(properties, dict)
    assert properties["ip"] == "203.0.113.9"


def test_the_drain_brings_scans_into_the_lake_with_code_and_channel(tmp_path: Path) -> None:
    with live(tmp_path) as shop:
        codes = Codes(shop.warehouse.state, shop.clock)
        wish = NewCode("Friend", "https://shop.example.com/", "member_referral", member="M17", utm={"source": "海报"})
        code = codes.add(MACHINE, replace(wish, campaign="spring"))
        shop.put(scanned(code, SEEN, NOON), scanned(code, SEEN._replace(bot=True), NOON))
        assert shop.drain.run().calls == 2
        rows = shop.rows(
            "SELECT source, sent_name, channel, path, referrer, campaign_source, campaign_name, anonymous_id, "
            "properties FROM event_details ORDER BY anonymous_id DESC"
        )
        first = rows[0]
        assert {name: first[name] for name in first if name != "properties"} == {
            "source": "codes: member_referral", "sent_name": "code_scanned", "channel": "member_referral",
            "path": f"/l/{code.slug}", "referrer": "blog.example", "campaign_source": "海报",
            "campaign_name": "spring", "anonymous_id": "visitor-123",
        }  # fmt: skip
        own = [json.loads(row["properties"]) for row in rows]
        assert [one["bot"] for one in own] == [False, True]
        assert (own[0]["code"], own[0]["referrer_member"], own[0]["user_agent"]) == (code.slug, "M17", PHONE)
        (event, _) = shop.rows("SELECT name, activity FROM events")
        assert event == {"name": "code_scanned", "activity": "interaction"}
