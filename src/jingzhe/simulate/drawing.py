"""Draws the business block by block, so that memory is bounded and the size of chunks does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jingzhe.core.errors import SettingError
from jingzhe.simulate.arrays import Ints, Stream, generator, within_runs
from jingzhe.simulate.baskets import Lines, Refunds, draw_lines, draw_refunds
from jingzhe.simulate.business import Business
from jingzhe.simulate.catalogue import catalogue_of
from jingzhe.simulate.people import BLOCK_PEOPLE, People, draw_relative
from jingzhe.simulate.rhythm import Spells, Visits, average_rate, browses, purchases, spells_of
from jingzhe.simulate.season import season_of
from jingzhe.simulate.sessions import APP, STORE, Kind, Sessions, draw_sources, expand
from jingzhe.simulate.tables import Block, Labels, facts
from jingzhe.simulate.truth import truth_table


@dataclass(frozen=True, eq=False)
class Chunk:
    """What some people did, and the truth about them.

    Args:
        events: with the columns of the store's ``events``, ordered by person and time.
        items: with the columns of the store's ``items``, ordered by person and time.
        truth: one row per person; see ``truth_table``.
    """

    events: pa.Table
    items: pa.Table
    truth: pa.Table


def draw(business: Business, *, people_per_chunk: int = 10 * BLOCK_PEOPLE, batch: int = 1) -> Iterator[Chunk]:
    """Draws the business, chunk by chunk; chunks hold disjoint people in ascending order.

    People are drawn in blocks of ``BLOCK_PEOPLE``, each from random numbers of its own, so the rows depend
    neither on the size of chunks nor on the number of people.

    Args:
        business: what to draw.
        people_per_chunk: how many people a chunk holds, rounded up to whole blocks. A chunk takes about
            200 bytes per event.
        batch: what to write in the column ``batch``.

    Yields:
        The chunks.

    Raises:
        SettingError: ``people_per_chunk`` is below 1, or a person has more events than there are
            numbers for.
    """
    if people_per_chunk < 1:
        raise SettingError("a chunk holds at least one person", field="people_per_chunk")
    per_chunk = -(-people_per_chunk // BLOCK_PEOPLE)
    blocks = -(-business.people // BLOCK_PEOPLE)
    for first in range(0, blocks, per_chunk):
        chunks = [_chunk(business, block, batch) for block in range(first, min(first + per_chunk, blocks))]
        yield Chunk(
            events=pa.concat_tables([chunk.events for chunk in chunks]),
            items=pa.concat_tables([chunk.items for chunk in chunks]),
            truth=pa.concat_tables([chunk.truth for chunk in chunks]),
        )


def draw_people(business: Business, block: int) -> People:
    """Draws the people of ``block``, with their rates in purchases per day."""
    return draw_relative(business, block).scaled(average_rate(business))


def draw_orders(business: Business, block: int) -> tuple[People, Spells, Visits, Lines]:
    """Draws the people of ``block``, their spells, their orders and what is in them."""
    season = season_of(business)
    people = draw_people(business, block)
    spells = spells_of(people, season)
    orders = purchases(people, spells, season, generator(business.seed, Stream.PURCHASES, block))
    lines = draw_lines(people, orders, catalogue_of(business), generator(business.seed, Stream.BASKETS, block))
    return people, spells, orders, lines


def order_numbers(orders: Visits) -> Ints:
    """Returns the number of each of the ``orders`` among its person's, from 1."""
    return within_runs(np.bincount(orders.person, minlength=1)) + 1


def visits_in_order(
    people: People,
    orders: Visits,
    refunds: Refunds,
    looks: Visits,
    *,
    business: Business,
    rng: np.random.Generator,
) -> Sessions:
    """Draws the source of all visits and puts them in order; a refund goes where the order came from."""
    bought = draw_sources(people.source[orders.person], business, rng)
    looked = draw_sources(people.source[looks.person], business, rng)
    return Sessions(
        person=np.concatenate([orders.person, orders.person[refunds.order], looks.person]),
        second=np.concatenate([orders.second, refunds.second, looks.second]),
        kind=np.concatenate(
            [
                np.where(bought == STORE, Kind.TILL, Kind.ORDER),
                np.full(len(refunds.order), Kind.REFUND),
                np.full(len(looks), Kind.BROWSE),
            ]
        ),
        # Nobody's browsing is seen at a till; those who like the store look at the app.
        source=np.concatenate([bought, bought[refunds.order], np.where(looked == STORE, APP, looked)]),
        deal=np.concatenate([np.arange(len(orders)), np.arange(len(refunds.order)), np.full(len(looks), -1)]),
    ).in_order()


def _chunk(business: Business, block: int, batch: int) -> Chunk:
    """Draws one block, cut at the last person."""
    season, catalogue = season_of(business), catalogue_of(business)
    people, spells, orders, lines = draw_orders(business, block)
    returning = generator(business.seed, Stream.REFUNDS, block)
    refunds = draw_refunds(lines, orders, season, business.refunded, returning)
    looking = generator(business.seed, Stream.BROWSING, block)
    looks = browses(people, spells, season, business.browsing, looking)
    rng = generator(business.seed, Stream.SESSIONS, block)
    sessions = visits_in_order(people, orders, refunds, looks, business=business, rng=rng)
    drawn = Block(people, orders, order_numbers(orders), lines, refunds, sessions, expand(sessions, rng))
    events, items = facts(drawn, business, catalogue, Labels(batch=batch))
    count = business.people - block * BLOCK_PEOPLE
    truth = truth_table(people, business, catalogue)
    if count >= BLOCK_PEOPLE:
        return Chunk(events, items, truth)
    last = business.people
    return Chunk(_up_to(events, last), _up_to(items, last), truth.slice(0, count))


def _up_to(table: pa.Table, last: int) -> pa.Table:
    """Returns the rows of people up to ``last``; the table is ordered by person."""
    return table.slice(0, int(np.searchsorted(table["person_id"].to_numpy(), last, side="right")))
