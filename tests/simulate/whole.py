from __future__ import annotations

import pyarrow as pa

from jingzhe.simulate import Business, Chunk, draw


def whole(business: Business, people_per_chunk: int = 1_000_000) -> Chunk:
    chunks = list(draw(business, people_per_chunk=people_per_chunk))
    return Chunk(*(pa.concat_tables([getattr(c, name) for c in chunks]) for name in ("events", "items", "truth")))
