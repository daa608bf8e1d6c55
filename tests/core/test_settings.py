from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.core.settings import load


def test_defaults_put_everything_into_the_projects_folder(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.resolved_state_url == f"sqlite:///{tmp_path / 'state.db'}"
    assert settings.resolved_lake_url == str(tmp_path / "lake")


def test_file_gives_way_to_environment_and_environment_to_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jingzhe.toml").write_text('industry = "beauty"\nthreads = 1\ntimezone = "Asia/Shanghai"\n')
    monkeypatch.setenv("JINGZHE_THREADS", "3")
    monkeypatch.setenv("JINGZHE_INDUSTRY", "scenic")
    settings = load(tmp_path, industry="appliances")
    assert (settings.timezone, settings.threads, settings.industry) == ("Asia/Shanghai", 3, "appliances")


def test_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGZHE_HOME", str(tmp_path))
    assert load().home == tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('timezone = "Mars/Base"\n', "Mars/Base"),
        ("threads = -1\n", "threads"),
        ('colour = "red"\n', "colour"),
        ("threads = \n", "not TOML"),
    ],
)
def test_a_bad_setting_is_named_with_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "jingzhe.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        load(tmp_path)
    assert said in str(caught.value)


def test_own_thresholds_come_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "jingzhe.toml").write_text("[states]\ndormant_after_days = 90\n")
    assert load(tmp_path).states == {"dormant_after_days": 90}


def test_options_of_the_lake_are_put_together_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jingzhe.toml").write_text(
        '[lake_options]\nAWS_Endpoint_URL = "http://store:9000"\naws_region = "cn"\nmax_retries = 2\n'
        "aws_allow_http = true\n"
    )
    monkeypatch.setenv("JINGZHE_LAKE_OPTIONS", '{"aws_secret_access_key": "hush", "aws_region": "north"}')
    monkeypatch.setenv("JINGZHE_LAKE_OPTIONS__AWS_ACCESS_KEY_ID", "whisper")
    settings = load(tmp_path, state_url="postgresql://keeper:pst@host/db", lake_options={"AWS_REGION": "south"})
    assert {name: value.get_secret_value() for name, value in settings.lake_options.items()} == {
        "aws_endpoint_url": "http://store:9000",
        "aws_region": "south",
        "max_retries": "2",
        "aws_allow_http": "true",
        "aws_secret_access_key": "hush",
        "aws_access_key_id": "whisper",
    }
    for shown in (repr(settings), str(settings), settings.model_dump_json(include={"lake_options"})):
        for secret in ("hush", "whisper", "pst"):
            assert secret not in shown


@pytest.mark.parametrize(
    "text", ['{"aws_secret_access_key": "hush"', '["hush"]', '{"aws_secret_access_key": ["hush"]}', '"hush"']
)
def test_options_that_cannot_be_read_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("JINGZHE_LAKE_OPTIONS", text)
    with pytest.raises(SettingError, match="lake_options") as caught:
        load(tmp_path)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    monkeypatch.delenv("JINGZHE_LAKE_OPTIONS")
    (tmp_path / "jingzhe.toml").write_text('lake_options = "hush"\n')
    with pytest.raises(SettingError, match="lake_options") as caught:
        load(tmp_path)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_the_address_of_the_server_is_plain_and_short_links_take_it(tmp_path: Path) -> None:
    settings = load(tmp_path, public_url="https://jingzhe.example.com/")
    assert (settings.public_url, settings.is_public_over_tls) == ("https://jingzhe.example.com", True)
    assert settings.resolved_links_url == "https://jingzhe.example.com"
    settings = load(tmp_path, public_url="http://[::1]:8090", links_url="https://go.shop.example")
    assert (settings.is_public_over_tls, settings.resolved_links_url) == (False, "https://go.shop.example")
    assert not load(tmp_path).is_public_over_tls


@pytest.mark.parametrize(
    "wrong",
    ["jingzhe.example.com", "ftp://x", "https://", "https://x/api", "https://a:b@x", "https://x?y", "https://x y"],
)
def test_an_address_that_is_none_of_a_server_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SettingError, match="public_url"):
        load(tmp_path, public_url=wrong)
