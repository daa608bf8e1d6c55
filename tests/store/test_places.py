from __future__ import annotations

from pathlib import Path

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.store.places import folder_of, is_local, root_of


def test_folders_become_absolute_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert root_of("lake/") == str(tmp_path / "lake")
    assert root_of("./lake") == str(tmp_path / "lake")
    assert root_of("s3://bucket/lake/") == "s3://bucket/lake"
    assert folder_of("s3://bucket/lake", "events") == "s3://bucket/lake/events"
    assert is_local("/data/lake")
    assert not is_local("s3://bucket/lake")
    with pytest.raises(SettingError, match="percent"):
        root_of("/data/100%25/lake")
