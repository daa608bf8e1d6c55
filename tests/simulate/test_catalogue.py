from __future__ import annotations

import numpy as np

from jingzhe.simulate import Business
from jingzhe.simulate.catalogue import CATEGORIES, catalogue_of


def test_products_are_spread_over_all_categories_with_prices_in_whole_cents() -> None:
    catalogue = catalogue_of(Business(products=85))
    assert len(catalogue.ids) == 80
    assert np.bincount(catalogue.category).tolist() == [2] * len(CATEGORIES)
    assert catalogue.price_cents.min() >= 190
    assert len(set(CATEGORIES)) == 40


def test_popularity_falls_with_rank() -> None:
    catalogue = catalogue_of(Business())
    for table in (catalogue.popular, catalogue.ranks):
        counts = np.bincount(table)
        assert (np.diff(counts) <= 1).all()
        assert counts[0] > 5 * counts[-1]
