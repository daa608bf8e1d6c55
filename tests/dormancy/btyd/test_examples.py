from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["bgnbd", "mbgnbd", "paretonbd", "gammagamma"])
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"jingzhe.dormancy.btyd.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
