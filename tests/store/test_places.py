from __future__ import annotations

from pathlib import Path

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.store.places import Folder, folder_of, place_of


def test_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("lake/").root == place_of("./lake").root == str(tmp_path / "lake")
    assert folder_of("s3://bucket/lake", "events") == "s3://bucket/lake/events"
    with pytest.raises(SettingError, match="percent"):
        place_of("/data/100%25/lake")


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    place = Folder(str(tmp_path))
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    for name in ("b", "a", "_delta_log/1.json"):
        (tmp_path / "t" / name).write_text("x")
    folder = f"{place.root}/t"
    assert place.listed(folder) == ["_delta_log/1.json", "a", "b"]
    assert place.listed(f"{place.root}/none") == []
    assert place.present([f"{folder}/a", f"{folder}/c"]) == [True, False]
    place.remove([f"{folder}/a", f"{folder}/c"])
    assert place.listed(folder) == ["_delta_log/1.json", "b"]


@pytest.mark.parametrize("url", ["hdfs://host/lake", "gs://bucket/lake", "S3://bucket/lake"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(SettingError, match="cannot stand at"):
        place_of(url)
