"""The page behind a one-time link: it sets a password. It needs nothing but this server, no file and no other host."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from jingzhe.server.answers import NOT_FOUND

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_STYLE = """
body{font:16px/1.6 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#222;background:#fafafa}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.3rem 0}
button{background:#1f6f54;color:#fff;border:0;border-radius:.3rem;cursor:pointer}
#said{min-height:3rem}"""
_SCRIPT = """
const form = document.querySelector('form'), said = document.querySelector('#said');
const token = new URLSearchParams(location.hash.split('?')[1] || '').get('token');
if (!token) { form.hidden = true; said.textContent = 'Jingzhe 惊蛰'; }
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token, password: form.password.value });
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch('/api/v1/session/password', { method: 'POST', headers, body });
  if (answer.ok) {
    form.hidden = true;
    history.replaceState(null, '', location.pathname);
    said.textContent = 'The password is set. Sign in. 密码已设置,请登录。';
  } else {
    const problem = await answer.json().catch(() => ({}));
    said.textContent = [problem.detail, problem.hint].filter(Boolean).join('. ') || 'It did not work. 未成功。';
  }
});
"""
_PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Jingzhe 惊蛰</title><style>{_STYLE}</style></head>
<body><h1>Jingzhe 惊蛰</h1><form><label>New password, at least 15 characters 新密码(至少 15 个字符)
<input name="password" type="password" minlength="15" autocomplete="new-password" required autofocus></label>
<button>Set password 设置密码</button></form><p id="said" role="status"></p><script>{_SCRIPT}</script></body></html>
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


PAGE = _PAGE.encode()
_ONLY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", str(len(PAGE)).encode()),
    (b"content-security-policy", _ONLY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Welcome:
    """Serves the page at ``/``. The token stands behind ``#``, which browsers do not send to servers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        del receive
        if scope["path"] != "/" or scope["method"] not in {"GET", "HEAD"}:
            await send({"type": "http.response.start", "status": NOT_FOUND.status, "headers": NOT_FOUND.headers})
            await send({"type": "http.response.body", "body": NOT_FOUND.body})
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else PAGE})

    async def start(self) -> None:
        """Begins."""

    async def stop(self) -> None:
        """Ends."""
