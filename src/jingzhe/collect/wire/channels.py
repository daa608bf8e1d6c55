"""Which channel a client is, by what it says of itself: PC, mobile web, app, official account, mini-program, server."""

from __future__ import annotations

from functools import lru_cache

CHANNELS = (
    "pc_web", "mobile_web", "app", "official_account", "mini_program", "server", "till", "member_referral", "qr_code",
    "third_party",
)  # fmt: skip
"""Kinds of sources; the last four are said by the source itself, never guessed."""

_APP_LIBRARIES = frozenset({"ios", "android", "harmonyos", "ipados"})
_APP_PARTS = ("-ios", "-android", "react-native", "flutter")
_BROWSER_LIBRARIES = frozenset({"js", "analytics.js", "rudderlabs javascript sdk", ""})
_MINI_PROGRAMS = ("miniprogram", "alipaymini", "baidumini", "bytedancemini", "qqmini")
_MOBILE_SIGNS = ("mobile", "android", "iphone", "ipad", "harmonyos")


@lru_cache(maxsize=4096)
def channel_of(library: str, system: str, user_agent: str) -> str:
    """Returns the channel of a client.

    Args:
        library: name of its SDK.
        system: operating system that it names, where it runs as an app.
        user_agent: of the browser.
    """
    lib, agent = library.lower(), user_agent.lower()
    if "miniprogram" in agent or any(name in lib for name in _MINI_PROGRAMS):
        return "mini_program"
    if (lib or system.lower()) in _APP_LIBRARIES or any(name in lib for name in _APP_PARTS):
        return "app"
    if not (lib in _BROWSER_LIBRARIES or lib.endswith((".js", "-web"))) or not (lib or agent.startswith("mozilla/")):
        return "server"
    if "micromessenger" in agent:
        return "official_account"
    return "mobile_web" if any(sign in agent for sign in _MOBILE_SIGNS) else "pc_web"
