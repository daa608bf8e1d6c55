"""Texts to 63-bit numbers, a column at a time."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_LONG = 64
"""Longer texts are digested first: the loop below runs once for each eight bytes of the longest."""
_STEP, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def numbered(texts: pa.Array, secret: bytes) -> NDArray[np.int64]:
    """Returns a number for each text: equal texts get equal numbers, others different ones but for rare chances.

    Eight bytes at a time are mixed in by the finaliser of SplitMix64 (Steele, Lea, Flood 2014). No cryptography: who
    stores the numbers compares the texts. The secret keeps strangers from making texts of equal numbers on purpose.

    Args:
        texts: strings without nulls.
        secret: starts the mixing; other secrets give other numbers.
    """
    lengths = np.diff(_offsets(texts))
    if len(lengths) and int(lengths.max()) > _LONG:
        texts = pa.array([_digested(text) for text in texts.to_pylist()], pa.string())
        lengths = np.diff(_offsets(texts))
    offsets = _offsets(texts)[:-1]
    buffer = texts.buffers()[2]
    content = (buffer.to_pybytes() if buffer is not None else b"") + bytes(8)
    words: NDArray[np.uint64] = np.ndarray(len(content) - 7, "<u8", content, strides=(1,))
    start = np.frombuffer(hashlib.blake2b(secret, digest_size=8).digest(), "<u8")[0]
    state = start ^ (lengths.astype(np.uint64) * _STEP)
    for done in range(0, int(lengths.max(initial=0)), 8):
        left = np.clip(lengths - done, 0, 8)
        active = left > 0
        word = words[np.where(active, offsets + done, 0)]
        # Shifts by 64 mean nothing: a whole word is kept as it is.
        bits = left.astype(np.uint64) * np.uint64(8) % np.uint64(64)
        kept = np.where(left == 8, word, word & ((np.uint64(1) << bits) - np.uint64(1)))
        state = np.where(active, _mixed(state ^ kept), state)
    return (_mixed(state) >> np.uint64(1)).astype(np.int64)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + _STEP
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    mixed: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed


def _digested(text: str) -> str:
    encoded = text.encode()
    return text if len(encoded) <= _LONG else hashlib.blake2b(encoded, digest_size=24).hexdigest()


def _offsets(texts: pa.Array) -> NDArray[np.int64]:
    raw = np.frombuffer(texts.buffers()[1], np.int32)
    return raw[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
