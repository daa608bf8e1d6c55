"""Consent: what people allowed, whom nothing is sent to, and who was erased.

``words`` keeps what people said, ``asking`` says whether something may be sent, ``suppressions`` stops addresses and
people, ``heard`` reads words out of events, ``tombstones`` keeps erased people from coming back, ``subjects`` says
what belongs to a person and ``forgetting`` removes it from the state store.
"""
