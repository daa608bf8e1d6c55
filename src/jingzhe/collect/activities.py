"""Which activity a source's name of an event means: defaults here, changes in a document of the state store."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from jingzhe.core.errors import SettingError
from jingzhe.store.facts import ACTIVITIES
from jingzhe.store.state import State

KIND = "activities"
NAME = "names"
UNKNOWN = "interaction"


def _names(listed: str) -> tuple[str, ...]:
    return tuple(listed.split())


DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "purchase": _names(
        """
        purchase purchased buy order ordered order_completed order_paid checkout checkout_completed
        transaction payment pay 购买 下单 支付 付款 成交
        """
    ),
    "refund": _names(
        """
        refund refunded order_refunded return returned 退款 退货
        """
    ),
    "cart": _names(
        """
        cart add_to_cart addtocart product_added basket 加购 加购物车 加入购物车
        """
    ),
    "favourite": _names(
        """
        favourite favorite fav like wishlist add_to_wishlist product_added_to_wishlist 收藏 关注
        """
    ),
    "view": _names(
        """
        view pv page_view pageview page product_viewed view_item click detail browse 浏览 点击 查看
        """
    ),
    "search": _names(
        """
        search products_searched view_search_results 搜索
        """
    ),
    "visit": _names(
        """
        visit session_start app_open open_app first_visit screen 访问 进店 到店 启动
        """
    ),
    "login": _names(
        """
        login log_in signed_in sign_in 登录 登陆
        """
    ),
    "service": _names(
        """
        service call ticket complaint support 客服 咨询 投诉 来电
        """
    ),
    "message_delivered": _names(
        """
        message_delivered email_delivered delivered 送达
        """
    ),
    "message_opened": _names(
        """
        message_opened email_opened open opened 打开
        """
    ),
    "message_clicked": _names(
        """
        message_clicked email_clicked email_link_clicked
        """
    ),
    "message_bounced": _names(
        """
        message_bounced email_bounced bounce bounced 退信
        """
    ),
    "message_complained": _names(
        """
        message_complained email_complained spam_report
        """
    ),
    "message_unsubscribed": _names(
        """
        message_unsubscribed unsubscribe unsubscribed 退订
        """
    ),
}
"""Names of events in lower case, spaces as ``_``, by the activity they mean."""


def activity_names(state: State) -> dict[str, str]:
    """Returns the activity of every known name of an event, in the spelling of :func:`spelled`."""
    names = {name: activity for activity, many in DEFAULTS.items() for name in (activity, *many)}
    document = state.document(KIND, NAME)
    return {**names, **(document.body if document else {})}


def spelled(name: str) -> str:
    """Returns a name of an event in lower case, with ``_`` for spaces and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def set_activity(state: State, name: str, activity: str) -> None:
    """Says what a name of an event means from now on; what was imported before keeps its activity.

    Raises:
        SettingError: there is no such activity.
    """
    if activity not in ACTIVITIES:
        raise SettingError(f"There is no activity {activity!r}", hint=f"One of: {', '.join(ACTIVITIES)}.")
    document = state.document(KIND, NAME)
    state.put_document(KIND, NAME, {**(document.body if document else {}), spelled(name): activity})


def table_of(names: Mapping[str, int], known: Mapping[str, str]) -> tuple[pa.Table, dict[str, int]]:
    """Returns the activity of each of ``names``, and those that no activity is known for.

    Args:
        names: names of events, with their rows.
        known: activities by name, as :func:`activity_names` gives them.
    """
    found = {name: known.get(spelled(name)) for name in names}
    table = pa.table(
        {
            "name": pa.array(list(found), pa.string()),
            "activity": pa.array([activity or UNKNOWN for activity in found.values()], pa.string()),
        }
    )
    return table, {name: rows for name, rows in names.items() if found[name] is None}
