"""ONE-ID: the ids of all channels become one person, explained and reversible.

``keys`` and ``rules`` say what kinds of keys there are and what they may do; ``observations`` brings keys that were
seen together into columns; ``resolving`` says whose each observation is. Inside a batch ``components`` joins at once
what no rule can touch and ``walking`` takes the rest one by one. ``people`` looks somebody up and explains their
joins, ``merges`` undoes and decides by hand, ``overrides`` is what readers of the lake need, ``linking`` proposes
matches where no key is common.
"""
