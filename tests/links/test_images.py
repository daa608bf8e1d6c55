"""QR images, read by a real decoder."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from jingzhe.core.errors import SettingError
from jingzhe.links.images import LEVELS, Look, png, svg

URL = "https://go.shop.example/l/k7m2xw9qpa"
SVG = "{http://www.w3.org/2000/svg}"


def read(image: bytes) -> str:
    with Image.open(io.BytesIO(image)) as opened:
        found = zxingcpp.read_barcodes(opened.convert("L"))
    assert len(found) == 1
    return str(found[0].text)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("label", ["", "Scan me & win <50%>"])
def test_a_camera_reads_the_png(level: str, label: str) -> None:
    assert read(png(URL, Look(level, 4, 4, label))) == URL  # type: ignore[arg-type]


def test_a_damaged_code_of_level_h_is_still_read() -> None:
    whole = png(URL, Look("H", 6))
    with Image.open(io.BytesIO(whole)) as opened:
        image = opened.convert("L")
    side = image.width // 5
    ImageDraw.Draw(image).rectangle((image.width // 2 - side // 2,) * 2 + (image.width // 2 + side // 2,) * 2, 255)
    out = io.BytesIO()
    image.save(out, "PNG")
    assert read(out.getvalue()) == URL


def test_the_quiet_zone_is_as_wide_as_asked() -> None:
    sizes = []
    for quiet in (0, 4):
        with Image.open(io.BytesIO(png(URL, Look("M", 3, quiet)))) as opened:
            sizes.append(opened.width)
    assert sizes[1] - sizes[0] == 2 * 4 * 3


def drawn(text: str, pixels: int) -> bytes:
    """Draws the dark modules of an SVG, as a browser would."""
    root = ET.fromstring(text)  # noqa: S314 - our own
    width, height = (float(one) for one in root.attrib["viewBox"].split()[2:])
    image = Image.new("L", (round(width * pixels), round(height * pixels)), 255)
    pen = ImageDraw.Draw(image)
    path = root.findall(f"{SVG}path")[0].attrib["d"]
    for piece in path.strip("Mz").split("zM"):
        start, rest = piece.split("h", 1)
        x, y = (int(one) for one in start.split())
        run = int(rest.split("v")[0])
        pen.rectangle((x * pixels, y * pixels, (x + run) * pixels - 1, (y + 1) * pixels - 1), 0)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("label", ["", "扫码有礼 <&>"])
def test_the_svg_says_the_same_and_can_be_read_out(label: str) -> None:
    text = svg(URL, Look(label=label), title='Poster "at" the till')
    assert read(drawn(text, 4)) == URL
    root = ET.fromstring(text)  # noqa: S314
    named = {one.attrib["id"]: one.text for one in root if "id" in one.attrib}
    assert root.attrib["role"] == "img"
    assert [named[name] for name in root.attrib["aria-labelledby"].split()] == [
        'Poster "at" the till', f"QR code of {URL}",
    ]  # fmt: skip
    assert [one.text for one in root.findall(f"{SVG}text")] == ([label] if label else [])


def test_a_chinese_label_is_drawn_or_refused_in_words() -> None:
    try:
        image = png(URL, Look(label="扫码有礼"))
    except SettingError as error:
        assert "font" in error.message  # noqa: PT017 - both are right: it depends on the machine's fonts
    else:
        assert read(image) == URL


@pytest.mark.parametrize(
    "wrong",
    [{"level": "X"}, {"scale": 0}, {"scale": 41}, {"quiet_modules": -1}, {"label": "x" * 81}, {"label": "a\nb"}],
)
def test_looks_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Look(**wrong)  # type: ignore[arg-type]


def test_an_address_that_no_code_can_hold() -> None:
    with pytest.raises(SettingError, match="too long"):
        png("https://shop.example/" + "a" * 4000)
