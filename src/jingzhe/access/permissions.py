"""What there is to allow, one line each, and the roles that have it. Scopes of API keys are these permissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from jingzhe.access.errors import RefusedValueError
from jingzhe.core.text import Text

Role = Literal["owner", "operator", "analyst", "integrator", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)

ROLE_WORDS: Mapping[Role, Text] = {
    "owner": Text("Owner: everything, accounts included", "所有者:包括账号在内的全部权限"),
    "operator": Text("Operator: people, lists and daily work", "运营:客户、名单与日常工作"),
    "analyst": Text("Analyst: reads people and figures", "分析师:查看客户与数据"),
    "integrator": Text("Integrator: keys, imports, refused rows", "集成:密钥、导入与被拒数据"),
    "auditor": Text("Auditor: the trail, accounts and figures; no customers", "审计:审计记录、账号与汇总数据,不看客户"),
}


@dataclass(frozen=True)
class Permission:
    """Something that may be allowed.

    Args:
        name: as routes and scopes call it.
        roles: who has it.
        doc: what it allows.
        for_keys: False where only a person may hold it: a key that leaks must not make more keys or accounts.
    """

    name: str
    roles: frozenset[Role]
    doc: str
    for_keys: bool = True


def _may(name: str, roles: str, doc: str, *, for_keys: bool = True) -> Permission:
    found = frozenset(role for role in ROLES if role in roles.split())
    return Permission(name, found, doc, for_keys)


PEOPLE_READ = _may("people.read", "owner operator analyst", "one person: profile, scores, timeline, identities")
PEOPLE_FIND = _may("people.find", "owner operator", "who it is that has a telephone number, a card, a login")
LISTS_READ = _may("lists.read", "owner operator analyst", "lists of people to act on")
FIGURES_READ = _may("figures.read", "owner operator analyst auditor", "states, classes, backtests, the report")
IMPORTS_READ = _may("imports.read", "owner operator analyst integrator auditor", "what was imported, in numbers")
QUARANTINE_READ = _may(
    "quarantine.read", "owner operator integrator", "refused rows and events; values masked without people.read"
)
QUARANTINE_WRITE = _may("quarantine.write", "owner operator integrator", "correct, replay and discard what was refused")
SOURCES_READ = _may("sources.read", "owner operator analyst integrator auditor", "sources of live events")
SOURCES_WRITE = _may("sources.write", "owner integrator", "make and change sources and their write keys")
NAMES_READ = _may("names.read", "owner operator analyst integrator auditor", "what names of events mean")
NAMES_WRITE = _may("names.write", "owner operator integrator", "say what names of events mean")
COLLECTION_READ = _may(
    "collection.read", "owner operator analyst integrator auditor", "what arrives, waits and is refused, in numbers"
)
JOBS_READ = _may("jobs.read", "owner operator analyst integrator auditor", "how far long work is")
JOBS_RUN = _may("jobs.run", "owner operator", "start a refresh, a training, a backtest, a report")
SETTINGS_READ = _may("settings.read", "owner operator integrator auditor", "settings, secrets masked")
METRICS_READ = _may("metrics.read", "owner operator integrator auditor", "measurements of the server")
ACCOUNTS_READ = _may("accounts.read", "owner auditor", "who has an account, and which role")
ACCOUNTS_WRITE = _may("accounts.write", "owner", "invite, change and disable accounts", for_keys=False)
KEYS_READ = _may("keys.read", "owner integrator auditor", "which API keys there are; never their secrets")
KEYS_WRITE = _may("keys.write", "owner integrator", "make and revoke API keys", for_keys=False)
CODES_READ = _may("codes.read", "owner operator analyst integrator", "codes and short links, and what came of them")
CODES_WRITE = _may("codes.write", "owner operator", "make and disable codes and short links")
WEBHOOKS_READ = _may("webhooks.read", "owner integrator auditor", "webhooks and their deliveries; never their secrets")
WEBHOOKS_WRITE = _may("webhooks.write", "owner integrator", "make, try and replay webhooks", for_keys=False)
DATA_EXPORT = _may("data.export", "owner operator", "whole tables and lists as files, people's data in webhooks")
CONSENTS_READ = _may("consents.read", "owner operator analyst", "what a person allowed, and what may be sent")
CONSENTS_WRITE = _may("consents.write", "owner operator integrator", "record consents, withdrawals and refusals")
SUPPRESSIONS_READ = _may("suppressions.read", "owner operator analyst", "to whom nothing is sent; addresses as hashes")
SUPPRESSIONS_WRITE = _may("suppressions.write", "owner operator integrator", "suppress an address or a person")
SUPPRESSIONS_LIFT = _may("suppressions.lift", "owner operator", "lift a suppression, with a reason", for_keys=False)
PEOPLE_EXPORT = _may("people.export", "owner operator", "everything that is held of one person, as a file")
PEOPLE_ERASE = _may("people.erase", "owner", "erase a person, for good", for_keys=False)
ERASURES_READ = _may("erasures.read", "owner operator auditor", "erasures and their certificates; nothing of people")
PEOPLE_MERGE = _may("people.merge", "owner operator", "merge people, undo merges, keep people or keys apart")
IDENTITY_RULES_READ = _may(
    "identity-rules.read", "owner operator analyst integrator auditor", "which keys make people one; hashes of values"
)
IDENTITY_RULES_WRITE = _may(
    "identity-rules.write", "owner operator", "change which keys make people one", for_keys=False
)
AUDIT_READ = _may("audit.read", "owner auditor", "the audit trail, and whether it is whole")

PERMISSIONS: Mapping[str, Permission] = {
    one.name: one
    for one in (
        PEOPLE_READ, PEOPLE_FIND, LISTS_READ, FIGURES_READ, IMPORTS_READ, QUARANTINE_READ,
        QUARANTINE_WRITE, SOURCES_READ, SOURCES_WRITE, NAMES_READ, NAMES_WRITE, COLLECTION_READ, JOBS_READ, JOBS_RUN,
        SETTINGS_READ, METRICS_READ, ACCOUNTS_READ, ACCOUNTS_WRITE, KEYS_READ, KEYS_WRITE, CODES_READ, CODES_WRITE,
        WEBHOOKS_READ, WEBHOOKS_WRITE, DATA_EXPORT, CONSENTS_READ, CONSENTS_WRITE, SUPPRESSIONS_READ,
        SUPPRESSIONS_WRITE, SUPPRESSIONS_LIFT, PEOPLE_EXPORT, PEOPLE_ERASE, ERASURES_READ, PEOPLE_MERGE,
        IDENTITY_RULES_READ, IDENTITY_RULES_WRITE, AUDIT_READ,
    )
}  # fmt: skip
"""Every permission by name."""


def of_role(role: Role) -> frozenset[str]:
    """Returns the names of what a role may do.

    >>> sorted(of_role("operator") - of_role("owner"))
    []
    """
    return frozenset(one.name for one in PERMISSIONS.values() if role in one.roles)


def checked_role(name: str) -> Role:
    """Returns the role of that name.

    Raises:
        RefusedValueError: there is none.
    """
    for role in ROLES:
        if role == name:
            return role
    raise RefusedValueError(f"There is no role {name!r}", hint=f"Roles: {', '.join(ROLES)}.", field="role")


def checked_scopes(names: Iterable[str]) -> tuple[str, ...]:
    """Returns scopes of a key, each once, in order.

    Raises:
        RefusedValueError: there is no such permission, a key may not have it, or there are none at all.
    """
    scopes = tuple(sorted(set(names)))
    allowed = [one.name for one in PERMISSIONS.values() if one.for_keys]
    wrong = [name for name in scopes if name not in allowed]
    if wrong or not scopes:
        what = f"A key cannot have the scope {wrong[0]!r}" if wrong else "A key needs at least one scope"
        raise RefusedValueError(what, hint=f"Scopes: {', '.join(allowed)}.", field="scopes")
    return scopes
