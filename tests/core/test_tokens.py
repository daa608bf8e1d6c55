from __future__ import annotations

import re

from jingzhe.core.tokens import new_secret

SENSORS_PROJECT = re.compile(r"[a-zA-Z_$][a-zA-Z\d_$]{0,99}\Z")
"""What SensorsAnalyticsSDK 1.11 takes for the name of a project, which may be a write key."""


def test_secrets_are_names_and_no_options() -> None:
    made = {new_secret(32) for _ in range(2_000)}
    assert len(made) == 2_000
    assert {len(one) for one in made} == {32}
    assert all(SENSORS_PROJECT.match(one) for one in made)
    assert len(set("".join(made))) == 62
