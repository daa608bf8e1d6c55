"""What clients' SDKs write: ``bodies`` bytes to JSON, ``segment`` and ``sensors`` JSON to the calls of ``call``.

Nothing here trusts what a client says of its own message (Content-Type, checksums, lengths); see
docs/guide/collecting.md.
"""
