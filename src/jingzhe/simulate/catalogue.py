"""What the business sells: departments, categories, products and their prices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from jingzhe.simulate.arrays import Floats, Ints, Stream, generator, quantiles
from jingzhe.simulate.business import Business

DEPARTMENTS = {
    "grocery": ("tea", "snacks", "rice", "fruit", "dairy"),
    "beauty": ("skincare", "makeup", "hair", "perfume", "masks"),
    "home": ("cleaning", "bedding", "kitchen", "storage", "lighting"),
    "clothing": ("women", "men", "shoes", "sports", "bags"),
    "baby": ("nappies", "formula", "toys", "children", "strollers"),
    "health": ("vitamins", "herbal", "masks-medical", "devices", "fitness"),
    "pets": ("cat-food", "dog-food", "litter", "treats", "pet-toys"),
    "digital": ("phones", "audio", "cables", "wearables", "books"),
}
"""Categories by department; the first ones sell most."""

CATEGORIES = tuple(f"{name}/{category}" for name, group in DEPARTMENTS.items() for category in group)
PER_DEPARTMENT = 5
RESOLUTION = 4096
TYPICAL_PRICES = (39.0, 89.0, 59.0, 159.0, 99.0, 79.0, 49.0, 299.0)
"""Median price by department, in the business's currency."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Products, numbered category by category.

    Args:
        ids: shape (products,), strings.
        names: shape (40,), strings: the categories.
        category: shape (products,), index of each product's category.
        price_cents: shape (products,), list price of a unit.
        popular: shape (4096,), quantiles of the categories' popularity (Zipf, exponent 0.7).
        ranks: shape (4096,), quantiles of the rank of a product in its category (Zipf, exponent 1).
        per_category: number of products in each category.
    """

    ids: pa.StringArray
    names: pa.StringArray
    category: Ints
    price_cents: Ints
    popular: Ints
    ranks: Ints
    per_category: int


@lru_cache(maxsize=16)
def catalogue_of(business: Business) -> Catalogue:
    """Returns the catalogue of ``business``; products that do not fill all categories evenly are left out."""
    per_category = business.products // len(CATEGORIES)
    products = per_category * len(CATEGORIES)
    category = np.repeat(np.arange(len(CATEGORIES)), per_category)
    rng = generator(business.seed, Stream.CATALOGUE)
    typical = np.asarray(TYPICAL_PRICES)[category // PER_DEPARTMENT]
    # Whole units less ten cents, as prices are written; at least 1.90.
    units = np.maximum(np.round(typical * np.exp(0.6 * rng.standard_normal(products))), 2)
    return Catalogue(
        ids=pa.array([f"P{number:06d}" for number in range(1, products + 1)]),
        names=pa.array(CATEGORIES),
        category=category,
        price_cents=units.astype(np.int64) * 100 - 10,
        popular=quantiles(_zipf(len(CATEGORIES), 0.7), RESOLUTION),
        ranks=quantiles(_zipf(per_category, 1.0), RESOLUTION),
        per_category=per_category,
    )


def _zipf(length: int, exponent: float) -> Floats:
    weights: Floats = np.arange(1, length + 1, dtype=np.float64) ** -exponent
    return weights
