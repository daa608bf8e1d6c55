"""The whole way as people go it: a code and a webhook by command line, a camera, a running server, a third system."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import zxingcpp
from PIL import Image
from standardwebhooks import Webhook as Checker

from tests.outgoing.receiver import Receiver

_SECONDS = 180
_PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1"}


def jingzhe(home: Path, *words: str) -> list[str]:
    """Runs a command; returns its lines."""
    command = [sys.executable, "-m", "jingzhe.cli.main", *words, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


def _environment() -> dict[str, str]:
    return {**os.environ, "JINGZHE_WEBHOOK_PRIVATE": "true", "JINGZHE_SCAN_COOKIE_DAYS": "30", "COLUMNS": "200"}


@contextmanager
def served(home: Path, *options: str) -> Iterator[str]:
    """Runs a server with its worker; gives its address."""
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", str(home), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()) as process:
        told: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            threading.Thread(target=lambda: told.extend(line.decode() for line in process.stderr or ())),
            threading.Thread(target=process.stdout.read),
        ]
        for reader in readers:
            reader.start()
        try:
            yield _address(process, told)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_SECONDS)
            for reader in readers:
                reader.join(_SECONDS)


def _address(process: subprocess.Popen[bytes], told: list[str]) -> str:
    give_up = time.monotonic() + _SECONDS
    while time.monotonic() < give_up:
        for line in list(told):
            if line.startswith("{") and json.loads(line)["event"] == "server started":
                return str(json.loads(line)["address"])
        assert process.poll() is None, "".join(told)
        time.sleep(0.05)
    pytest.fail("the server did not start")


@pytest.mark.slow
def test_a_scanned_poster_reaches_the_crm(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Receiver() as crm, served(home) as address:
        lines = jingzhe(home, "webhook", "add", "CRM", crm.url, "--kind", "event.received")
        secret = next(line for line in lines if line.startswith("whsec_"))
        (url,) = jingzhe(
            home, "code", "add", "Poster", "https://shop.example.com/spring", "--utm", "source=poster",
            "--base-url", address,
        )  # fmt: skip
        slug = url.rsplit("/", 1)[1]
        jingzhe(home, "code", "image", slug, str(tmp_path / "poster.png"), "--base-url", address)
        with Image.open(io.BytesIO((tmp_path / "poster.png").read_bytes())) as image:
            (found,) = zxingcpp.read_barcodes(image)
        answer = httpx.get(found.text, headers=_PHONE, timeout=_SECONDS)
        assert (answer.status_code, answer.headers["location"]) == (
            302, "https://shop.example.com/spring?utm_source=poster",
        )  # fmt: skip
        assert "jz_aid" in answer.cookies
        give_up = time.monotonic() + _SECONDS
        while not crm.got:
            assert time.monotonic() < give_up, "the third system heard nothing"
            time.sleep(0.1)
        said = Checker(secret).verify(crm.got[0].body, crm.got[0].headers)
        assert [(one["name"], one["source"]) for one in said["data"]["events"]] == [("code_scanned", "codes: qr_code")]
        (listed,) = jingzhe(home, "code", "list", "--base-url", address)
        assert url in listed
        assert "1 scans, 1 visitors, 0 known" in listed
    jingzhe(home, "code", "disable", slug)
