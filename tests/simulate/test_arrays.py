from __future__ import annotations

import numpy as np

from jingzhe.simulate.arrays import Stream, generator, quantiles, within_runs


def test_quantiles_have_the_probabilities_asked_for() -> None:
    table = quantiles([1, 0, 2, 1])
    assert np.bincount(table).tolist() == [64, 0, 128, 64]


def test_runs_restart_and_may_be_empty() -> None:
    assert within_runs(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


def test_streams_and_blocks_differ_and_repeat() -> None:
    keys = [(Stream.PEOPLE, 0), (Stream.PEOPLE, 1), (Stream.PURCHASES, 0)]
    first = [generator(1, *key).random() for key in keys]
    assert len(set(first)) == 3
    assert first == [generator(1, *key).random() for key in keys]
