"""What no client of good will sends, to every route: broken JSON, odd texts, numbers without end. Never a failure.

The OpenAPI document cannot say these (schemathesis makes JSON from schemas), so they stand here: the example of each
body with one value after the other replaced, and whole bodies, paths, queries and headers that are not as they should.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import jsonschema_rs
import pytest

from jingzhe.app.workspace import open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.server.api.application import create_api
from tests.postgres import postgres_server, postgres_url
from tests.server.api.client import V1, Client
from tests.server.api.conftest import NOW, Site, Told
from tests.server.api.test_document import ASKED_ELSEWHERE, SEED, check_problem, components

__all__ = ["postgres_server", "postgres_url"]

ASKED = 15
"""Requests to each route, of the many that are made: others each time."""
JSON = {"Content-Type": "application/json"}
DEEP = "[" * 3000 + "]" * 3000
BODIES: tuple[bytes, ...] = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"[[]]", b"{}", b'{"":{}}', b"\xff\xfe{}", b'{"a":"\xff"}', b"\x00",
    b'{"a":NaN}', b'{"a":1e999}', b"1" * 5000, DEEP.encode(), b'{"a":' * 600 + b"1" + b"}" * 600, b"{}{}",
    b'{"\\ud800":1}',
)  # fmt: skip
VALUES: tuple[str, ...] = (
    "null", "true", "[]", "{}", "-1", "0", "1e999", "-1e400", "NaN", "9" * 30, "9" * 5000, "1.5", '""', '"\\u0000"',
    '"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '"\\u202e"', '"' + "x" * 100_000 + '"', '"9999-12-31T23:59:59Z"',
    '"0000-00-00"', '"2026-02-30"', '"0001-01-01T00:00:00+23:59"', '"\'; DROP TABLE account; --"', '["\\ud800"]',
    '{"a":"\\ud800"}', '{"\\u0000":"\\u0000"}', '[[[[[[[[1]]]]]]]]', '"https://[::1"', '"https://x:99999/"',
)  # fmt: skip
"""As JSON, each in the place of each value of an example."""
IN_URLS = (
    "%00", "%ff", "%ed%a0%80", "-1", "0", "9223372036854775808", "9" * 400, "1e5", "..%2f..", "%F0%9F%92%A9", "%0a",
    "a" * 3000, "NaN", "%C2%A0",
)  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """One request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None


def _filled(path: str, value: str = "1") -> str:
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, value)
    return path


def _example(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return {name: one["examples"][0] if "examples" in one else None for name, one in schema["properties"].items()}


def odd_requests(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[Odd]:
    """Makes the requests to one route."""
    plain = _filled(path)
    example = _example(document, operation)
    if example is not None:
        for body in BODIES:
            yield Odd(method, plain, JSON, body)
        yield Odd(method, plain, {"Content-Type": "text/plain"}, json.dumps(example).encode())
        yield Odd(method, plain, {"Content-Type": "application/json; charset=utf-16"}, json.dumps(example).encode())
        for name in example:
            for value in VALUES:
                yield Odd(method, plain, JSON, _with(example, name, value).encode())
    good = None if example is None else json.dumps(example).encode()
    for odd in IN_URLS:
        if "{" in path:
            yield Odd(method, _filled(path, odd), JSON, good)
        for one in operation.get("parameters", []):
            if one["in"] == "query":
                yield Odd(method, f"{plain}?{one['name']}={odd}", JSON, good)
                yield Odd(method, f"{plain}?{one['name']}={odd}&{one['name']}=1", JSON, good)
    for header in ("Idempotency-Key", "X-Request-ID", "traceparent", "Accept-Language", "User-Agent", "Range"):
        for said in ("\x7f", "\xff", "x" * 5000, "00-" + "0" * 32, "bytes=9-1"):
            yield Odd(method, plain, {**JSON, header: said}, good)


def _with(example: dict[str, Any], name: str, value: str) -> str:
    others = {key: one for key, one in example.items() if key != name and one is not None}
    inside = json.dumps(others)[1:-1]
    return "{" + inside + (", " if inside else "") + f"{json.dumps(name)}: {value}" + "}"


@pytest.mark.slow
def test_nothing_odd_makes_the_server_fail(own_site: Site) -> None:
    owner = own_site.signed_in("owner")
    document = own_site.app.openapi()
    problem = jsonschema_rs.validator_for({**document["components"]["schemas"]["Problem"], **components(document)})
    failed: list[tuple[Odd, int]] = []
    statuses: Counter[int] = Counter()
    print(f"JINGZHE_FUZZ_SEED={SEED}")  # noqa: T201 - shown where it fails
    chance = Random(SEED)  # noqa: S311 - which requests of many are sent this time
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if f"{method.upper()} {path}" in ASKED_ELSEWHERE:
                continue
            requests = list(odd_requests(document, method.upper(), path, operation))
            asked = chance.sample(requests, min(ASKED, len(requests)))
            for odd, answer in zip(asked, _answers(owner, asked), strict=True):
                statuses[answer.status_code] += 1
                if answer.status_code >= 500:
                    failed.append((odd, answer.status_code))
                elif answer.status_code >= 400:
                    check_problem(answer, problem)
    assert not failed, [(one.method, one.path[:80], (one.content or b"")[:120], status) for one, status in failed]
    assert statuses[422] > 100
    assert owner.get("/session").status_code == 200


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_url: str) -> Iterator[Site]:
    clock = FixedClock(NOW)
    with open_workspace(tmp_path / "home", clock=clock, threads=1, state_url=postgres_url) as workspace:
        app = create_api(workspace, log=Told())
        yield Site(app, workspace, clock)
        app.state.services.close()


def test_a_text_that_postgresql_cannot_keep_is_no_failure(on_postgres: Site) -> None:
    owner = on_postgres.signed_in("owner")
    document = on_postgres.app.openapi()
    asked = [
        odd
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if f"{method.upper()} {path}" not in ASKED_ELSEWHERE
        for odd in odd_requests(document, method.upper(), path, operation)
        if "%00" in odd.path or b"u0000" in (odd.content or b"")
    ]
    assert len(asked) > 100
    answers = _answers(owner, asked)
    found = [(one.method, one.path, answer.status_code) for one, answer in zip(asked, answers, strict=True)]
    assert [one for one in found if one[2] >= 500] == []


def test_of_several_who_make_the_same_at_once_one_does(on_postgres: Site) -> None:
    owner = on_postgres.signed_in("owner")
    for number in range(5):
        same: tuple[str, str, dict[str, str], dict[str, Any]] = (
            "POST",
            f"{V1}/sources",
            {},
            {"json": {"name": f"till {number}", "kind": "till"}},
        )
        answers = owner.ask_at_once(*[same] * 6)
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"conflict"}


def _answers(client: Client, asked: list[Odd]) -> Iterator[httpx.Response]:
    """Asks some at a time: more at once would wait for each other's connections to the store."""
    for begin in range(0, len(asked), 5):
        yield from client.ask_at_once(*map(_sent, asked[begin : begin + 5]))


def _sent(odd: Odd) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    headers = {name: value.encode("latin-1") for name, value in odd.headers.items()}
    return odd.method, odd.path, headers, {"content": odd.content}
