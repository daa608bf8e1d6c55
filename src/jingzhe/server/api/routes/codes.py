"""Trackable codes and short links: made here, drawn here, and what came of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from jingzhe.access.permissions import CODES_READ, CODES_WRITE
from jingzhe.links import images
from jingzhe.links.codes import Code, Codes, NewCode
from jingzhe.links.figures import figures_of
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Moment, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, moment_of, page
from jingzhe.server.api.services import Caller, Served, Services

routes = Routes("codes")
_LIST = "codes"
Channel = Literal[
    "pc_web", "mobile_web", "app", "official_account", "mini_program", "server", "till", "member_referral",
    "qr_code", "third_party",
]  # fmt: skip
_MEDIA = {"png": "image/png", "svg": "image/svg+xml"}


class Utm(Given):
    """UTM parameters that are added to the target."""

    source: str = Field(default="", max_length=200, examples=["poster"])
    medium: str = Field(default="", max_length=200, examples=["qr"])
    campaign: str = Field(default="", max_length=200)
    term: str = Field(default="", max_length=200)
    content: str = Field(default="", max_length=200)


class NewCodeGiven(Given):
    """What a code is to be."""

    name: str = Field(max_length=100, examples=["Poster at the till"])
    target: str = Field(
        max_length=2000, examples=["https://shop.example.com/spring"],
        description="web address, or page of a mini-program (then with app_id)",
    )  # fmt: skip
    channel: Channel = Field(default="qr_code", description="the channel that its scans carry")
    placement: str = Field(default="", max_length=100, examples=["store poster"])
    campaign: str = Field(default="", max_length=100, examples=["spring"])
    member: str = Field(default="", max_length=100, description="of a referral: id of the member who recommends")
    app_id: str = Field(default="", max_length=40, description="of a WeChat mini-program")
    utm: Utm = Field(default_factory=Utm)
    carry_visitor: bool = Field(
        default=False, description="hand the visitor's anonymous id to the target as ajs_aid, for its SDK to go on with"
    )
    expires_at: Moment | None = Field(default=None, examples=["2027-03-05T00:00:00Z"])


class CodeShown(Shown):
    """One code."""

    slug: str
    url: str = Field(description="the short link")
    name: str
    target: str
    channel: Channel
    placement: str
    campaign: str
    member: str
    app_id: str
    utm: dict[str, str]
    carry_visitor: bool
    made_by: str
    created_at: datetime
    expires_at: datetime | None = None
    disabled_at: datetime | None = None


class CodeFiguresShown(Shown):
    """What came of a code. Purchases after a scan are no proof: some would have bought anyway."""

    code: str
    within_days: int
    scans: int = Field(description="by people, as far as anybody can tell")
    scans_of_anyone: int = Field(description="those of them whose browser is not known")
    bot_scans: int = Field(description="by bots and link previews; in no other number")
    visitors: int
    identified: int
    purchases: int
    buyers: int
    revenue: float
    first_at: datetime | None = None
    last_at: datetime | None = None


_CODE = {
    "slug": "k7m2xw9qpa", "url": "https://go.shop.example/l/k7m2xw9qpa", "name": "Poster at the till",
    "target": "https://shop.example.com/spring", "channel": "qr_code", "placement": "store poster",
    "campaign": "spring", "member": "", "app_id": "", "utm": {"source": "poster"}, "carry_visitor": False,
    "made_by": "account:acc_7hq2mkw4x9ab", "created_at": "2026-03-05T08:00:00Z", "expires_at": None,
    "disabled_at": None,
}  # fmt: skip
_FIGURES = {
    "code": "k7m2xw9qpa", "within_days": 7, "scans": 140, "scans_of_anyone": 0, "bot_scans": 9, "visitors": 118,
    "identified": 41, "purchases": 12, "buyers": 11, "revenue": 918.5, "first_at": "2026-03-05T09:12:00Z",
    "last_at": "2026-03-07T20:01:00Z",
}  # fmt: skip


@routes.add("GET", "/codes", needs=CODES_READ, example={"items": [_CODE], "next_cursor": None})
def list_codes(request: Request, served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[CodeShown]:
    """Lists codes, the latest first; those that expired or were disabled too."""
    before: tuple[datetime, str] | None = None
    if cursor:
        moment, slug = key_of(_LIST, cursor, str, str)
        before = (moment_of(moment), slug)
    found = _codes(served).all(before=before, limit=limit + 1)
    shown, following = page(_LIST, found, limit, lambda one: (one.created_at.isoformat(), one.slug))
    return Page(items=[_shown(request, served, one) for one in shown], next_cursor=following)


@routes.add("POST", "/codes", needs=CODES_WRITE, status=201, example=_CODE)
def make_code(given: NewCodeGiven, request: Request, caller: Caller, served: Served) -> CodeShown:
    """Makes a code."""
    values = given.model_dump()
    utm = {name: value for name, value in values.pop("utm").items() if value}
    return _shown(request, served, _codes(served).add(caller, NewCode(**values, utm=utm)))


@routes.add("GET", "/codes/{slug}", needs=CODES_READ, example=_CODE)
def get_code(slug: str, request: Request, served: Served) -> CodeShown:
    """Shows one code."""
    return _shown(request, served, _codes(served).get(slug))


@routes.add("DELETE", "/codes/{slug}", needs=CODES_WRITE, example={**_CODE, "disabled_at": "2026-03-07T08:00:00Z"})
def disable_code(slug: str, request: Request, caller: Caller, served: Served) -> CodeShown:
    """Lets a code lead nowhere from now on; its scans stay."""
    return _shown(request, served, _codes(served).disable(caller, slug))


@routes.add("GET", "/codes/{slug}/figures", needs=CODES_READ, example=_FIGURES)
def code_figures(
    slug: str,
    served: Served,
    within_days: Annotated[int, Query(ge=1, le=365, description="how long after a scan a purchase counts")] = 7,
) -> CodeFiguresShown:
    """Counts what came of a code."""
    code = _codes(served).get(slug)
    found = figures_of(served.workspace.warehouse, code.slug, within_days=within_days)
    return CodeFiguresShown(**found.__dict__, within_days=within_days)


@routes.add(
    "GET", "/codes/{slug}/image", needs=CODES_READ, media_type="image/svg+xml", example="<svg …",
    response_class=Response,
)  # fmt: skip
def code_image(
    slug: str,
    request: Request,
    served: Served,
    *,
    image_format: Annotated[Literal["svg", "png"], Query(alias="format")] = "svg",
    level: Annotated[images.Level, Query(description="how much may be damaged: 7, 15, 25, 30 %")] = "M",
    scale: Annotated[int, Query(ge=1, le=40, description="pixels of a module")] = 8,
    quiet_modules: Annotated[int, Query(ge=0, le=20, description="width of the quiet zone")] = 4,
    label: Annotated[str, Query(max_length=80, description="line under the code")] = "",
) -> Response:
    """Draws the QR code of a short link."""
    code = _codes(served).get(slug)
    look, url = images.Look(level, scale, quiet_modules, label), code.url(_base(request, served))
    made: Any = images.png(url, look) if image_format == "png" else images.svg(url, look, title=code.name)
    headers = {"Content-Disposition": f'inline; filename="{slug}.{image_format}"'}
    return Response(made, media_type=_MEDIA[image_format], headers=headers)


def _codes(served: Services) -> Codes:
    return Codes(served.state, served.workspace.warehouse.clock, private=served.workspace.settings.links_private)


def _base(request: Request, served: Services) -> str:
    return served.workspace.settings.resolved_links_url or str(request.base_url)


def _shown(request: Request, served: Services, code: Code) -> CodeShown:
    return CodeShown(**_plain(code), url=code.url(_base(request, served)))


def _plain(code: Code) -> dict[str, Any]:
    return {name: value for name, value in code.__dict__.items() if name != "source_id"}
