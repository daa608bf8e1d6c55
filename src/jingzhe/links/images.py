"""QR images of short links: PNG for print shops and tills, SVG for everything that is scaled.

Error correction M (15 %) is the default, as ISO/IEC 18004 suggests for print; the quiet zone of four modules is the
standard's. An image with a label keeps its quiet zone all around.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import segno
from PIL import Image, ImageDraw, ImageFont

from jingzhe.core.errors import SettingError

Level = Literal["L", "M", "Q", "H"]
LEVELS: tuple[Level, ...] = ("L", "M", "Q", "H")
"""How much of an image may be damaged: 7, 15, 25, 30 %."""
SCALES = (1, 40)
_LABEL_LENGTH = 80
_LABEL_SHARE = 0.09
_FAMILIES = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
             "PingFang SC", "Microsoft YaHei", "SimHei")  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How an image looks.

    Args:
        level: error correction, one of :data:`LEVELS`.
        scale: pixels of a module (PNG), or units (SVG).
        quiet_modules: width of the quiet zone; less than 4 is against the standard and read by fewer cameras.
        label: line under the code; empty for none.
    """

    level: Level = "M"
    scale: int = 8
    quiet_modules: int = 4
    label: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise SettingError(f"There is no level {self.level!r}", hint=f"One of: {', '.join(LEVELS)}.", field="level")
        if not SCALES[0] <= self.scale <= SCALES[1]:
            raise SettingError(f"A module has {SCALES[0]} to {SCALES[1]} pixels", field="scale")
        if not 0 <= self.quiet_modules <= 20:
            raise SettingError("The quiet zone has 0 to 20 modules", field="quiet_modules")
        if len(self.label) > _LABEL_LENGTH or not (self.label.isprintable() or not self.label):
            raise SettingError(f"A label has up to {_LABEL_LENGTH} visible signs", field="label")


def png(url: str, look: Look | None = None) -> bytes:
    """Returns the QR code of an address as a PNG image.

    Args:
        url: what it says.
        look: how it looks.

    Raises:
        SettingError: the address is too long for a QR code, or no font here can write the label.
    """
    own = look or Look()
    out = io.BytesIO()
    _drawn(url, own).save(out, kind="png", scale=own.scale, border=own.quiet_modules, dark="black", light="white")
    return _labelled(out.getvalue(), own) if own.label else out.getvalue()


def svg(url: str, look: Look | None = None, *, title: str = "") -> str:
    """Returns the QR code of an address as an SVG image that a screen reader can read out.

    Args:
        url: what it says.
        look: how it looks.
        title: what the image is; empty: the label, else the address.

    Raises:
        SettingError: the address is too long for a QR code.
    """
    own = look or Look()
    rows = [list(row) for row in _drawn(url, own).matrix_iter(border=own.quiet_modules)]
    width, text_height = len(rows), len(rows) * _LABEL_SHARE if own.label else 0.0
    height = width + text_height
    name = escape(title or own.label or url)
    label = ""
    if own.label:
        size = text_height * 0.6
        label = (
            f'<text x="{width / 2:g}" y="{width + text_height * 0.35:.2f}" text-anchor="middle" fill="#000" '
            f'font-family="sans-serif" font-size="{size:.2f}"{_fitted(own.label, size, width)}>'
            f"{escape(own.label)}</text>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" width="{width * own.scale}" '
        f'height="{height * own.scale:g}" viewBox="0 0 {width} {height:g}" shape-rendering="crispEdges">'
        f'<title id="t">{name}</title><desc id="d">{escape(f"QR code of {url}")}</desc>'
        f'<rect width="{width}" height="{height:g}" fill="#fff"/><path fill="#000" d={quoteattr(_path(rows))}/>'
        f"{label}</svg>\n"
    )


def _drawn(url: str, look: Look) -> segno.QRCode:
    try:
        return segno.make_qr(url, error=look.level, boost_error=False)
    except segno.DataOverflowError as error:
        raise SettingError("The address is too long for a QR code", hint="Use a shorter links_url.") from error


def _path(rows: list[list[int]]) -> str:
    """Returns dark modules as rectangles, one for each run of a row."""
    found = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            run = x
            while run < len(row) and row[run]:
                run += 1
            if run > x:
                found.append(f"M{x} {y}h{run - x}v1h-{run - x}z")
            x = run + 1
    return "".join(found)


def _fitted(label: str, size: float, width: float) -> str:
    """Returns what squeezes a label that would be wider than the image; signs of Chinese are as wide as high."""
    expected = sum(size if ord(sign) > 0x2E80 else size * 0.56 for sign in label)
    return f' textLength="{width * 0.94:.2f}" lengthAdjust="spacingAndGlyphs"' if expected > width * 0.94 else ""


def _labelled(image: bytes, look: Look) -> bytes:
    with Image.open(io.BytesIO(image)) as drawn:
        code = drawn.convert("L")
    width, room = code.width, max(12, round(code.width * _LABEL_SHARE))
    whole = Image.new("L", (width, code.height + room), 255)
    whole.paste(code, (0, 0))
    size = room * 0.6
    font = _font(look.label, size)
    while font.getlength(look.label) > width * 0.94 and size > 6:
        size *= 0.9
        font = _font(look.label, size)
    if font.getlength(look.label) > width:
        raise SettingError("The label is too long for the image", hint="Use a larger scale.", field="label")
    ImageDraw.Draw(whole).text((width / 2, code.height + room * 0.3), look.label, 0, font=font, anchor="mm")
    out = io.BytesIO()
    whole.save(out, "PNG", optimize=True)
    return out.getvalue()


def _font(label: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if label.isascii():
        return ImageFont.load_default(size)
    from matplotlib import font_manager  # noqa: PLC0415 - takes a second to load, for labels that are not ASCII only

    known = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    path = next((known[family] for family in _FAMILIES if family in known), None)
    if path is None:
        raise SettingError(
            "No font on this machine can write the label", field="label",
            hint="Install one such as Noto Sans CJK SC, or take the SVG, which the reader's own fonts draw.",
        )  # fmt: skip
    return ImageFont.truetype(path, size)
