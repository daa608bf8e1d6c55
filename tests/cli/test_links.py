"""Codes and webhooks on the command line."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from typer.testing import CliRunner, Result

from jingzhe.cli.main import app
from tests.outgoing.receiver import Receiver


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--home", str(home)], env={"COLUMNS": "200"})


def test_a_code_is_made_drawn_listed_and_disabled(tmp_path: Path) -> None:
    base = ("--base-url", "https://go.shop.example")
    added = run(tmp_path, "code", "add", "Poster", "https://shop.example.com/", "--utm", "source=poster", *base)
    assert added.exit_code == 0, added.output
    url = added.output.strip().splitlines()[-1]
    assert re.fullmatch(r"https://go\.shop\.example/l/[a-z2-9]{10}", url)
    slug = url.rsplit("/", 1)[1]
    for name in ("poster.png", "poster.svg"):
        drawn = run(tmp_path, "code", "image", slug, str(tmp_path / name), "--level", "q", *base)
        assert drawn.exit_code == 0, drawn.output
    with Image.open(io.BytesIO((tmp_path / "poster.png").read_bytes())) as image:
        (found,) = zxingcpp.read_barcodes(image)
    assert found.text == url
    assert url in (tmp_path / "poster.svg").read_text("utf-8")
    assert "0 scans, 0 visitors" in run(tmp_path, "code", "list", *base).output
    assert "nowhere" in run(tmp_path, "code", "disable", slug).output
    assert "disabled" in run(tmp_path, "code", "list", *base).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("code", "add", "X", "javascript:alert(1)"), "cannot lead to 'javascript'"),
        (("code", "add", "X", "https://shop.example.com/", "--utm", "source"), "no UTM parameter"),
        (("code", "add", "X", "https://shop.example.com/", "--expires", "2001-01-01"), "in the past"),
        (("code", "image", "nonsense22", "poster.gif"), "'.gif'"),
        (("code", "image", "nonsense22", "poster.png", "--level", "x"), "level"),
        (("code", "disable", "nonsense22"), "no such code"),
        (("webhook", "add", "X", "http://crm.example.com/", "--kind", "event.received"), "https only"),
        (("webhook", "add", "X", "https://crm.example.com/", "--kind", "nonsense"), "no kind"),
        (("webhook", "log", "wh_none"), "no such webhook"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, *words)
    assert done.exit_code == 1
    assert said in str(done.exception)


def test_a_webhook_is_made_tried_disabled_enabled_and_given_a_new_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JINGZHE_WEBHOOK_PRIVATE", "true")
    with Receiver() as receiver:
        added = run(tmp_path, "webhook", "add", "CRM", receiver.url, "--kind", "event.received", "--activity", "cart")
        assert added.exit_code == 0, added.output
        hook, secret = re.findall(r"wh_[a-z2-9]{12}|whsec_\S+", added.output)
        assert "200  as told" in run(tmp_path, "webhook", "test", hook).output
        receiver.status = 500
        assert run(tmp_path, "webhook", "test", hook).exit_code == 1
        assert len(receiver.got) == 2
    assert hook in run(tmp_path, "webhook", "list").output
    rotated = run(tmp_path, "webhook", "rotate", hook).output
    assert "whsec_" in rotated
    assert secret not in rotated
    run(tmp_path, "webhook", "disable", hook)
    assert "off: disabled by machine:cli" in run(tmp_path, "webhook", "list").output
    run(tmp_path, "webhook", "enable", hook)
    listed = run(tmp_path, "webhook", "list").output
    assert "off:" not in listed
    assert secret not in listed
    assert run(tmp_path, "webhook", "log", hook).exit_code == 0
    assert "0 messages" in run(tmp_path, "webhook", "replay", hook, "--since", "2026-01-01").output
