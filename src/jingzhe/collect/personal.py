"""Names of fields that hold personal data: one table for sealing and for masking, which a project may change.

Names are compared without capitals, spaces, ``_`` and ``-``, and without ``$`` in front. One that begins with ``*``
stands for all that end like it: ``*email`` for ``customer_email``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from jingzhe.core.errors import SettingError
from jingzhe.store.state import State

DOCUMENT = ("seal", "names")
Where = Literal["anywhere", "person", "nowhere"]
"""Where a field of that name is personal: in any event; only among what is said of a person; not at all."""
_ANYWHERE = """
*email mail *emailaddress *mailaddress *phone *phonenumber *mobile *mobilenumber *mobilephone tel *telephone *cellphone
*msisdn *whatsapp *firstname *lastname *fullname *surname *familyname *givenname *middlename *realname *recipientname
*receivername *consignee *idcard *idcardnumber *idnumber idno *identitycard *nationalid *passport *passportnumber
*passportno *ssn *taxid *drivinglicence *driverlicense *street *streetaddress address1 address2 *addressline1
*addressline2 *shippingaddress *billingaddress *deliveryaddress *postaladdress *homeaddress *birthday *birthdate
*dateofbirth dob *iban *bankcard *bankaccount *ipaddress ip wechatid
*手机号 *手机 *手机号码 *电话 *电话号码 *邮箱 *电子邮箱 *电子邮件 *邮箱地址 *姓名 收件人 收货人 联系人 *身份证 *身份证号
*身份证号码 *护照 *护照号 *护照号码 *住址 *详细地址 *收货地址 *家庭地址 *生日 *出生日期 *银行卡号 微信号
"""
_OF_PEOPLE = """
name username nickname alias avatar address location postcode zipcode postalcode zip age 昵称 地址 邮编
"""
DEFAULTS: Mapping[str, Where] = {
    **dict.fromkeys(_ANYWHERE.split(), "anywhere"),
    **dict.fromkeys(_OF_PEOPLE.split(), "person"),
}
PEOPLE = frozenset({
    "traits", "user", "customer", "buyer", "member", "person", "contact", "profile", "recipient", "receiver",
    "shipping", "billing", "delivery", "customerdetails", "userdetails", "联系人信息", "客户", "会员", "用户",
})  # fmt: skip
"""Fields in whose value somebody is described, as ``customer`` in an order."""
_LIST = re.compile(r"[ _\-]+")
_BETWEEN = r"[ _-]*"
_KNOWN_NAMES = 65_536


def plain(name: str) -> str:
    """Returns a name as it is compared.

    >>> plain("$E-Mail Address")
    'emailaddress'
    """
    return _LIST.sub("", name).lstrip("$").lower()


@dataclass(frozen=True)
class PersonalNames:
    """Which fields are personal.

    Args:
        names: where, by name.
    """

    names: Mapping[str, Where] = field(default_factory=lambda: DEFAULTS, hash=False)

    def holds(self, name: str, *, of_person: bool) -> bool:
        """Tells whether a field is personal.

        Args:
            name: as somebody writes it.
            of_person: whether it stands among what is said of a person.
        """
        where = self._where(name)
        return where == "anywhere" or (of_person and where == "person")

    @cached_property
    def _where(self) -> Callable[[str], Where]:
        ends = tuple((name[1:], where) for name, where in self.names.items() if name.startswith("*"))
        longest_first = tuple(sorted(ends, key=lambda one: -len(one[0])))
        return lru_cache(maxsize=_KNOWN_NAMES)(_Lookup({**self.names}, longest_first))

    @cached_property
    def pattern(self) -> str:
        """Returns what finds JSON that may hold a personal field, for RE2: it may find too much, never too little.

        It looks for names as JSON writes them, also escaped, and for fields in which people are described.
        """
        wanted = [name for name, where in self.names.items() if where == "anywhere"]
        exact = [*(name for name in wanted if not name.startswith("*")), *PEOPLE]
        ends = [name[1:] for name in wanted if name.startswith("*")]
        written = "|".join(_spaced(name) for name in ends)
        whole = "|".join(_spaced(name) for name in exact)
        escaped = "|".join(_escaped(name) for name in (*ends, *exact) if not name.isascii())
        return rf'(?i)(?:{written}|"[$ _-]*(?:{whole})){_BETWEEN}"[ \t\r\n]*:|\\u00[2-7]|{escaped}'

    def is_person(self, name: str) -> bool:
        """Tells whether somebody is described in the value of a field."""
        return plain(name) in PEOPLE


@dataclass(frozen=True)
class _Lookup:
    """Says where a name is personal."""

    names: Mapping[str, Where] = field(hash=False)
    ends: tuple[tuple[str, Where], ...]

    def __call__(self, name: str) -> Where:
        written = plain(name)
        known = self.names.get(written)
        if known is not None:
            return known
        return next((where for end, where in self.ends if written.endswith(end)), "nowhere")


def _spaced(name: str) -> str:
    return _BETWEEN.join(re.escape(sign) for sign in name)


def _escaped(name: str) -> str:
    return "".join(sign if sign.isascii() else rf"\\u{ord(sign):04x}" for sign in name)


def names_of(state: State) -> PersonalNames:
    """Returns which fields are personal in a project, the defaults included."""
    document = state.document(*DOCUMENT)
    return PersonalNames({**DEFAULTS, **document.body}) if document else PersonalNames()


def set_name(state: State, name: str, where: Where) -> str:
    """Says whether a field is personal from now on; what is in the lake already stays as it is.

    Args:
        state: the state store.
        name: of the field; with ``*`` in front for all that end like it.
        where: anywhere, only among what is said of a person, or nowhere.

    Returns:
        the name as it is compared.

    Raises:
        SettingError: the name is empty, or ``where`` is none of them.
    """
    star, bare = ("*" if name.strip().startswith("*") else ""), plain(name.strip().lstrip("*"))
    if not bare:
        raise SettingError("A field needs a name", field="name")
    if where not in {"anywhere", "person", "nowhere"}:
        raise SettingError(f"{where!r} is no place", hint="One of: anywhere, person, nowhere.", field="where")
    with state.writing() as connection:
        state.edit_document(*DOCUMENT, lambda body: {**body, star + bare: where}, connection=connection)
    return star + bare
