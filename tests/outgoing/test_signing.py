"""Signatures, checked with the library that receivers use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as Checker
from standardwebhooks import WebhookVerificationError

from jingzhe.outgoing.signing import headers, new_secret

BODY = '{"type":"webhook.ping","名":"值"}'.encode()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def test_a_receivers_library_takes_the_signature() -> None:
    secret = new_secret()
    assert Checker(secret).verify(BODY, headers([secret], "msg_1", now(), BODY)) == {
        "type": "webhook.ping", "名": "值",
    }  # fmt: skip


def test_both_secrets_hold_while_one_is_replaced() -> None:
    old, new = new_secret(), new_secret()
    sent = headers([new, old], "msg_1", now(), BODY)
    for secret in (old, new):
        Checker(secret).verify(BODY, sent)
    assert len(sent["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize(
    "wrong", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(now() - 30)}, {"webhook-signature": "v1,AAAA"}]
)
def test_what_was_changed_on_the_way_is_refused(wrong: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        Checker(secret).verify(BODY, {**headers([secret], "msg_1", now(), BODY), **wrong})
