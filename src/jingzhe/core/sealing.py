"""Sealing: personal data is encrypted where it is stored as it came (docs/adr/0013).

AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D, section 8.2.2). What a value belongs to is authenticated
with it, so a value that is moved elsewhere does not open there. The newest key seals; every key of the ring opens.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jingzhe.core.errors import SealError
from jingzhe.core.seal_keys import Key, read_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"\xf5JZ\x01"
"""Begins every sealed blob; the last byte is the version. No JSON, text or packed request begins like that."""
TEXT = "sealed:1:"
"""Begins every sealed text; the number is the version. Base64 of key id, nonce, ciphertext and tag follows."""
_KEY_ID, _NONCE, _TAG = 4, 12, 16
_HEAD = len(MAGIC) + _KEY_ID + _NONCE
_SHORTEST = _KEY_ID + _NONCE + _TAG


@dataclass
class Sealer:
    """Seals and opens; may be used from several threads, and be sent to another process.

    Args:
        keys: of the ring, the newest last.
        path: of the key file, which is read again where something was sealed with a key that is not known yet.
    """

    keys: tuple[Key, ...]
    path: Path | None = None
    _ciphers: dict[bytes, AESGCM] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise SealError("There is no key to seal with", file=self.path)

    def __reduce__(self) -> tuple[type[Sealer], tuple[tuple[Key, ...], Path | None]]:
        return Sealer, (self.keys, self.path)

    def seal(self, what: str, plain: bytes) -> bytes:
        """Returns bytes sealed.

        Args:
            what: table and column in which they stand; they open only there.
            plain: the bytes.
        """
        return MAGIC + self._sealed(what, plain)

    def open(self, what: str, blob: bytes) -> bytes:
        """Returns what was sealed; bytes that are not sealed, as they were written before there was a key, as they are.

        Args:
            what: table and column in which they stand.
            blob: as they are stored.

        Raises:
            SealError: the key is not in the key file, or the bytes were changed or moved.
        """
        if not blob.startswith(MAGIC):
            return blob
        if len(blob) < _HEAD + _TAG:
            raise _damaged(what)
        return self._opened(what, blob[len(MAGIC) :])

    def seal_text(self, what: str, plain: str, *, repeatable: bool = False) -> str:
        """Returns a text sealed, as text.

        Args:
            what: table and column in which it stands.
            plain: the text.
            repeatable: True where the same text in the same place is to have the same seal, by one key: the nonce is
                then derived from both (as in RFC 8452), and whoever sees two seals can tell whether they are equal.
        """
        raw = plain.encode("utf-8", "surrogatepass")
        nonce = self.keys[-1].nonce(what.encode() + b"\0" + raw, _NONCE) if repeatable else b""
        return TEXT + base64.b64encode(self._sealed(what, raw, nonce)).decode("ascii")

    def open_text(self, what: str, text: str) -> str:
        """Returns what was sealed; a text that is not sealed as it is.

        Args:
            what: table and column in which it stands.
            text: as it is stored.

        Raises:
            SealError: the key is not in the key file, or the text was changed or moved.
        """
        if not text.startswith(TEXT):
            return text
        try:
            sealed = base64.b64decode(text[len(TEXT) :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise _damaged(what) from error
        if len(sealed) < _SHORTEST:
            raise _damaged(what)
        return self._opened(what, sealed).decode("utf-8", "surrogatepass")

    def _sealed(self, what: str, plain: bytes, nonce: bytes = b"") -> bytes:
        key, nonce = self.keys[-1], nonce or os.urandom(_NONCE)
        return key.key_id + nonce + self._cipher(key.key_id).encrypt(nonce, plain, what.encode())

    def _opened(self, what: str, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - loaded where something is sealed

        key_id, nonce = sealed[:_KEY_ID], sealed[_KEY_ID : _KEY_ID + _NONCE]
        try:
            return self._cipher(key_id).decrypt(nonce, sealed[_KEY_ID + _NONCE :], what.encode())
        except InvalidTag as error:
            raise _damaged(what) from error

    def _cipher(self, key_id: bytes) -> AESGCM:
        known = self._ciphers.get(key_id)
        if known is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 20 ms

            known = self._ciphers[key_id] = AESGCM(self._key(key_id).secret)
        return known

    def _key(self, key_id: bytes) -> Key:
        found = next((key for key in self.keys if key.key_id == key_id), None)
        if found is None and self.path is not None:
            # Another process has added one since this one began.
            found = next((key for key in read_keys(self.path) if key.key_id == key_id), None)
        if found is None:
            raise SealError(
                "The key that this was sealed with is not in the key file",
                hint="Restore the key file from its copy; without that key it cannot be read by anybody.",
                key=key_id.hex(),
                file=self.path,
            )
        return found


def key_id_of(stored: object) -> bytes | None:
    """Returns the id of the key that something was sealed with; None where it is not sealed.

    Args:
        stored: bytes or a text, as they are stored.
    """
    if isinstance(stored, bytes | memoryview):
        blob = bytes(stored)
        return blob[len(MAGIC) : len(MAGIC) + _KEY_ID] if blob.startswith(MAGIC) else None
    if isinstance(stored, str) and stored.startswith(TEXT):
        try:
            # Whole groups of base64 that hold the id.
            return base64.b64decode(stored[len(TEXT) : len(TEXT) + 8], validate=True)[:_KEY_ID]
        except (binascii.Error, ValueError):
            return None
    return None


def _damaged(what: str) -> SealError:
    return SealError(
        "A sealed value does not open: it was changed, or moved from another place",
        hint="Restore it from a back-up.",
        column=what,
    )
