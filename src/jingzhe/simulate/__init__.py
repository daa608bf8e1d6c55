"""A made-up business with rhythms, seasons, lapses and responses, and the truth beside it.

``business`` says what it is like, ``season`` when its people come, ``catalogue`` what it sells. Every block
of people is drawn alone: ``people`` who they are, ``rhythm`` when they buy and look round, ``baskets`` what
they buy and bring back, ``sessions`` what they do on the way, ``tables`` writes it down. ``drawing`` streams
the blocks, ``daily`` adds one more day, ``orders`` writes a file of order lines, ``response`` answers a
contact.
"""

from jingzhe.simulate.business import Business
from jingzhe.simulate.daily import append_day
from jingzhe.simulate.drawing import Chunk, draw
from jingzhe.simulate.orders import orders_csv
from jingzhe.simulate.people import BLOCK_PEOPLE
from jingzhe.simulate.response import respond
from jingzhe.simulate.tables import customer_keys

__all__ = [
    "BLOCK_PEOPLE",
    "Business",
    "Chunk",
    "append_day",
    "customer_keys",
    "draw",
    "orders_csv",
    "respond",
]
