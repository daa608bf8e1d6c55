"""The redirect: at once, whatever the inbox does; scans durable, flagged, and belonging to who is known later."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import msgspec
import zxingcpp
from PIL import Image
from prometheus_client import CollectorRegistry

from jingzhe.access.actor import MACHINE
from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.received import unpacked
from jingzhe.collect.write_keys import live_keys
from jingzhe.core.errors import StateError
from jingzhe.links.codes import Code, Codes, NewCode
from jingzhe.links.images import png
from jingzhe.server.admission import Admission, Limits
from jingzhe.server.short_links import KNOWN_SECONDS, Counted, Scanning, ShortLinks
from tests.collect.live import Live, live, track
from tests.server.asking import Heard

PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1"}


@dataclass
class Site:
    """Short links over a project."""

    shop: Live
    links: ShortLinks
    registry: CollectorRegistry
    client: httpx.AsyncClient
    moment: list[float]
    heard: Heard

    def code(self, **wish: object) -> Code:
        asked = replace(NewCode("Poster", "https://shop.example.com/spring"), **wish)  # type: ignore[arg-type]
        return self.codes.add(MACHINE, asked)

    @property
    def codes(self) -> Codes:
        return Codes(self.shop.warehouse.state, self.shop.clock)

    def scans(self) -> list[dict[str, object]]:
        """Returns the scans in the inbox."""
        requests = [one for row in self.shop.inbox.take(events=10**6) for one in unpacked(row.payload)]
        return [msgspec.json.decode(one.body) for one in requests]

    def counted(self, outcome: str) -> float:
        return self.registry.get_sample_value("jingzhe_scans_total", {"outcome": outcome}) or 0.0


def ask(
    folder: Path,
    scenario: Callable[[Site], Awaitable[None]],
    wish: Scanning | None = None,
    limits: Limits | None = None,
) -> None:
    async def run() -> None:
        with live(folder) as shop:
            state, registry, heard, moment = shop.warehouse.state, CollectorRegistry(), Heard(), [0.0]
            admission = Admission(shop.inbox, lambda: live_keys(state), limits or Limits(free_bytes=0))
            commits = GroupCommit(shop.inbox, shop.clock)
            commits.start(asyncio.get_running_loop())
            links = ShortLinks(
                Codes(state, shop.clock).known, admission, commits, shop.clock, Counted(registry), heard,
                wish or Scanning(wait_seconds=10), lambda: moment[0],
            )  # fmt: skip
            transport = httpx.ASGITransport(links, client=("203.0.113.9", 4711))
            try:
                async with httpx.AsyncClient(transport=transport, base_url="https://go.shop.example") as client:
                    await scenario(Site(shop, links, registry, client, moment, heard))
            finally:
                await asyncio.to_thread(commits.stop)

    asyncio.run(run())


def test_a_scan_is_sent_on_and_is_durable(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        code = site.code(utm={"source": "poster"}, campaign="spring")
        answer = await site.client.get(f"/l/{code.slug}", headers={**PHONE, "referer": "https://blog.example/me?a=1"})
        assert (answer.status_code, answer.headers["location"]) == (
            302, "https://shop.example.com/spring?utm_source=poster",
        )  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
        (scan,) = site.scans()
        assert scan["event"] == "code_scanned"
        assert scan["anonymousId"] == f"anyone-{code.slug}"
        assert "203.0.113.9" not in str(scan)
        assert "me?a=1" not in str(scan)
        assert site.counted("kept") == 1

    ask(tmp_path, scenario)


def test_slugs_are_read_from_paper(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        code = site.code()
        assert (await site.client.get(f"/l/{code.slug.upper()}/", headers=PHONE)).status_code == 302

    ask(tmp_path, scenario)


def test_what_leads_nowhere(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        ended = site.code(expires_at=site.shop.clock.now() + timedelta(seconds=1))
        off = site.code()
        site.codes.disable(MACHINE, off.slug)
        site.shop.clock.moment += timedelta(seconds=2)
        for path, status in (
            (f"/l/{ended.slug}", 410), (f"/l/{off.slug}", 410), ("/l/zzzzzzzzzz", 404), ("/l/", 404),
            ("/l/../../etc", 404), ("/l/" + "a" * 500, 404), (f"/l/{ended.slug}/more", 404),
        ):  # fmt: skip
            answer = await site.client.get(path, headers=PHONE)
            assert (path, answer.status_code) == (path, status)
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await site.client.post(f"/l/{off.slug}")).status_code == 405
        assert site.scans() == []
        assert (site.counted("ended"), site.counted("unknown")) == (2, 5)

    ask(tmp_path, scenario)


def test_a_code_that_is_disabled_leads_nowhere_within_seconds(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        code = site.code()
        path = f"/l/{code.slug}"
        assert (await site.client.get(path, headers=PHONE)).status_code == 302
        site.codes.disable(MACHINE, code.slug)
        site.moment[0] += KNOWN_SECONDS
        assert (await site.client.get(path, headers=PHONE)).status_code == 410

    ask(tmp_path, scenario)


def test_where_it_is_allowed_a_browser_is_known_again_and_handed_over(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        code = site.code(carry_visitor=True)
        first = await site.client.get(f"/l/{code.slug}", headers=PHONE)
        cookie = SimpleCookie(first.headers["set-cookie"])["jz_aid"]
        assert (cookie["max-age"], cookie["path"], cookie["httponly"], cookie["secure"], cookie["samesite"]) == (
            str(30 * 86_400), "/", True, True, "Lax",
        )  # fmt: skip
        assert first.headers["location"] == f"https://shop.example.com/spring?ajs_aid={cookie.value}"
        second = await site.client.get(f"/l/{code.slug}", headers=PHONE)
        assert "set-cookie" not in second.headers
        site.client.cookies.clear()
        known = await site.client.get(f"/l/{code.slug}", headers={**PHONE, "cookie": "ajs_anonymous_id=sdk-visitor-1"})
        assert known.headers["location"].endswith("ajs_aid=sdk-visitor-1")
        assert [scan["anonymousId"] for scan in site.scans()] == [cookie.value, cookie.value, "sdk-visitor-1"]

    ask(tmp_path, scenario, Scanning(30, wait_seconds=10))


def test_where_it_is_not_allowed_no_cookie_is_read_either(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        code = site.code(carry_visitor=True)
        answer = await site.client.get(f"/l/{code.slug}", headers={**PHONE, "cookie": "jz_aid=visitor-123"})
        assert answer.headers["location"] == "https://shop.example.com/spring"
        assert "visitor-123" not in str(site.scans())

    ask(tmp_path, scenario)


def test_bots_are_flagged_and_get_no_cookie_and_heads_are_no_scans(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        path = f"/l/{site.code().slug}"
        preview = await site.client.get(path, headers={"user-agent": "facebookexternalhit/1.1"})
        assert (preview.status_code, "set-cookie" in preview.headers) == (302, False)
        await site.client.get(path, headers={**PHONE, "sec-purpose": "prefetch"})
        head = await site.client.head(path, headers=PHONE)
        assert (head.status_code, head.content) == (302, b"")
        bots = [scan["properties"]["bot"] for scan in site.scans()]  # type: ignore[index]
        assert bots == [True, True]

    ask(tmp_path, scenario, Scanning(30, wait_seconds=10))


def test_the_address_is_kept_where_the_project_wants_it(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.client.get(f"/l/{site.code().slug}", headers=PHONE)
        assert site.scans()[0]["properties"]["ip"] == "203.0.113.9"  # type: ignore[index]

    ask(tmp_path, scenario, Scanning(keep_address=True, wait_seconds=10))


def test_with_a_full_inbox_people_are_sent_on_and_the_scan_is_counted_as_lost(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        path = f"/l/{site.code().slug}"
        site.links.admission.look()
        assert site.links.admission.closed
        assert (await site.client.get(path, headers=PHONE)).status_code == 302
        assert site.scans() == []
        assert (site.counted("lost"), site.counted("kept")) == (1, 0)
        assert site.heard.lines[0][0] == "scans are lost"

    # So much free space no disk has.
    ask(tmp_path, scenario, limits=Limits(free_bytes=2**62))


def test_with_an_inbox_that_fails_or_is_slow_people_are_sent_on(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        path = f"/l/{site.code().slug}"
        site.shop.inbox._database.engine.dispose()
        file = tmp_path / "inbox.db"
        kept = file.read_bytes()
        for one in tmp_path.glob("inbox.db*"):
            one.unlink()
        (tmp_path / "inbox.db").mkdir()
        assert (await site.client.get(path, headers=PHONE)).status_code == 302
        assert (site.counted("lost"), site.counted("kept")) == (1, 0)
        (tmp_path / "inbox.db").rmdir()
        file.write_bytes(kept)

    ask(tmp_path, scenario)


def test_codes_that_cannot_be_looked_up_are_asked_for_again_later(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        path = f"/l/{site.code().slug}"
        known = site.links.known

        def away(slug: str) -> Code | None:
            raise StateError("The state store cannot be used", slug=slug)

        site.links.known = away
        answer = await site.client.get(path, headers=PHONE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        site.links.known = known
        assert (await site.client.get(path, headers=PHONE)).status_code == 302

    ask(tmp_path, scenario)


def test_too_many_scans_a_second_do_not_fill_the_inbox(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        path = f"/l/{site.code().slug}"
        # However long they take, they come within one second.
        site.links.admission.seconds = lambda: 0.0
        for _ in range(5):
            assert (await site.client.get(path, headers=PHONE)).status_code == 302
        assert (len(site.scans()), site.counted("lost")) == (3, 2)

    ask(tmp_path, scenario, limits=Limits(free_bytes=0, requests_per_second=3))


def test_a_scanned_image_leads_through_the_link_into_the_lake(tmp_path: Path) -> None:
    """The whole way: drawn, read by a decoder, followed, drained, and the visitor signs in later."""

    async def scenario(site: Site) -> None:
        code = site.code()
        with Image.open(io.BytesIO(png(code.url("https://go.shop.example")))) as image:
            (found,) = zxingcpp.read_barcodes(image.convert("L"))
        answer = await site.client.get(found.text, headers=PHONE)
        assert answer.headers["location"] == "https://shop.example.com/spring"
        visitor = site.client.cookies["jz_aid"]
        site.shop.drain.run()
        site.shop.segment(track("Signed In", userId=None, anonymousId=visitor))
        site.shop.drain.run()
        rows = site.shop.rows("SELECT name, person_id, source FROM events ORDER BY name")
        assert [(row["name"], row["source"]) for row in rows] == [
            ("code_scanned", "codes: qr_code"), ("signed_in", "shop"),
        ]  # fmt: skip
        assert rows[0]["person_id"] == rows[1]["person_id"]

    ask(tmp_path, scenario, Scanning(30, wait_seconds=10))
