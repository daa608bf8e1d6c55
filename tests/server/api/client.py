"""A browser, or a program with a key, that talks to the application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import FastAPI

BASE = "http://jingzhe.test"
V1 = "/api/v1"


class Client:
    """Sends requests one after the other; keeps cookies as a browser does.

    Args:
        app: the application.
        key: an API key to send along.
        base: where it is thought to stand.
    """

    def __init__(self, app: FastAPI, *, key: str | None = None, base: str = BASE) -> None:
        self.app = app
        self.base = base
        self.cookies = httpx.Cookies()
        self.headers: dict[str, str] = {} if key is None else {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        """Sends one request and waits for its answer."""
        return asyncio.run(self._ask([(method, path, headers or {}, options)]))[0]

    def ask_at_once(self, *requests: tuple[str, str, Mapping[str, str], dict[str, Any]]) -> list[httpx.Response]:
        """Sends requests at the same time."""
        return asyncio.run(self._ask(list(requests)))

    async def _ask(self, requests: list[tuple[str, str, Mapping[str, str], dict[str, Any]]]) -> list[httpx.Response]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=self.base, cookies=self.cookies, headers=self.headers
        ) as client:
            answers = await asyncio.gather(
                *(
                    client.request(method, path, headers=dict(headers), **options)
                    for method, path, headers, options in requests
                )
            )
            self.cookies = httpx.Cookies(client.cookies)
        return list(answers)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.ask("GET", V1 + path, params=query)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.ask("POST", V1 + path, headers, json=body)

    def sign_in(self, email: str, password: str) -> httpx.Response:
        """Signs in, and sends the CSRF token from now on."""
        answer = self.post("/session", {"email": email, "password": password})
        if answer.status_code == 200:
            self.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return answer
