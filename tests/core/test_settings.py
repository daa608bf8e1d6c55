from __future__ import annotations

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
