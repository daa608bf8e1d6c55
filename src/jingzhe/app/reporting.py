"""From the workspace to the report: what the tables do not say, and how the models did on data after a cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from jingzhe.app.views import View
from jingzhe.collect.importing import KIND as IMPORT
from jingzhe.collect.reasons import REASONS
from jingzhe.collect.report import ImportSummary
from jingzhe.core.errors import ModelError, NoDataError
from jingzhe.core.progress import Progress
from jingzhe.core.settings import Settings
from jingzhe.core.text import Text
from jingzhe.dormancy.backtest import DEFAULT, backtest
from jingzhe.dormancy.backtest import Backtest as Judged
from jingzhe.dormancy.choosing import BLEND, EDGE
from jingzhe.dormancy.judging import Judgement, auc_standard_error
from jingzhe.identity import personal_keys
from jingzhe.report import Backtest, CalibrationBin, Frame, Imports, ModelResult, ReportData, collect_data
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse

_CURRENCIES = one(
    "currencies", "SELECT currency, count(*) AS events FROM events WHERE revenue IS NOT NULL GROUP BY ALL"
)
_NAMES = {
    "bg_nbd": Text("BG/NBD", "BG/NBD 模型"),
    "mbg_nbd": Text("MBG/NBD", "MBG/NBD 模型"),
    "pareto_nbd": Text("Pareto/NBD", "Pareto/NBD 模型"),
    "recency": Text("Recency alone", "仅看最近一次购买"),
    EDGE: Text("Churn edge (learned)", "流失边缘（学习模型）"),
    BLEND: Text("Churn edge blended with the purchase model", "流失边缘与购买模型融合"),
}
COMPARED_DAYS = 90
"""How far back the report looks for movement where nobody says otherwise, days."""


class Asked(NamedTuple):
    """What a report was asked for.

    Args:
        as_of: its day.
        before: earlier day to compare with; None: 90 days before, where the data reach so far.
        project: name of the business; None: the name of its folder.
    """

    as_of: date
    before: date | None = None
    project: str | None = None


def report_data(view: View, warehouse: Warehouse, settings: Settings, asked: Asked, progress: Progress) -> ReportData:
    """Computes everything that a report shows."""
    progress.stage("testing the models on data after a cut")
    judged = _judged(view, progress)
    before = asked.before or _earlier(view)
    if before is not None:
        progress.stage("people on the earlier day")
        view.keep_people_before(before)
    progress.stage("putting the report together")
    summaries = [ImportSummary.from_document(one_.body) for one_ in warehouse.state.documents(IMPORT)]
    frame = Frame(
        project=asked.project or settings.home.absolute().name,
        as_of=view.as_of,
        generated_at=warehouse.clock.now(),
        horizon_days=view.models.horizon_days,
        before=before,
        currency=_currency(view, settings),
        sources=tuple(dict.fromkeys(summary.source for summary in summaries)),
        backtest=judged,
        imports=_imports(summaries),
        reason_names=REASONS,
        dormant_after_days=view.basis.pack.dormant_after_days,
        lost_after_days=view.basis.pack.lost_after_days,
        decline_ratio=view.basis.pack.decline_ratio,
        rfm=view.thresholds,
    )
    return collect_data(view.session, frame, lambda key: personal_keys.opened(warehouse.state, [key]).get(key, key))


_FIRST_DAY = one("first_day", "SELECT min(day) AS day FROM person_days WHERE purchases > 0")


def _earlier(view: View) -> date | None:
    first = view.session.run(_FIRST_DAY).to_pylist()[0]["day"]
    earlier = view.as_of - timedelta(days=COMPARED_DAYS)
    return earlier if first is not None and earlier > first else None


def _currency(view: View, settings: Settings) -> str:
    found = {row["currency"] for row in view.session.run(_CURRENCIES).to_pylist()}
    return found.pop() or settings.currency if len(found) == 1 else settings.currency


def _imports(summaries: Sequence[ImportSummary]) -> Imports | None:
    if not summaries:
        return None
    return Imports(
        rows_read=sum(summary.rows for summary in summaries),
        rows_accepted=sum(summary.rows_accepted for summary in summaries),
        duplicates=sum(summary.orders_unchanged for summary in summaries),
    )


def _judged(view: View, progress: Progress) -> Backtest | None:
    """Judges the models on the last horizon before the report's day; None where the data do not reach so far."""
    cut = view.as_of - timedelta(days=view.models.horizon_days)
    horizon_days, pack = view.models.horizon_days, view.basis.pack
    try:
        judged = backtest(view.session, cut, horizon_days, pack, known_until=view.as_of, progress=progress)
    except (NoDataError, ModelError) as error:
        progress.stage(f"models not tested: {error.message}")
        return None
    if all(one_.auc is None for one_ in judged.judgements):
        progress.stage("models not tested: nobody came back in the days after the cut, or everybody")
        return None
    return told(judged)


def told(judged: Judged) -> Backtest:
    """Returns a backtest in the words of the report."""
    returned = round(judged.people * judged.return_share)
    ranked = [one_ for one_ in judged.judgements if one_.model != DEFAULT and one_.auc is not None]

    def error(judgement: Judgement) -> float | None:
        return auc_standard_error(judgement.auc, returned, judged.people - returned)

    learned = [one_ for one_ in ranked if one_.model in (EDGE, BLEND)]
    rival = judged[judged.rival]
    chosen = next((one_ for one_ in ranked if one_.model == judged.default), rival)
    candidate = chosen if chosen in learned else max(learned, key=lambda one_: one_.auc or 0.0, default=chosen)
    paired = candidate.model == judged.default
    return Backtest(
        cut=judged.cut,
        horizon_days=judged.horizon_days,
        people=judged.people,
        returned=returned,
        models=tuple(
            ModelResult(one_.model, _NAMES[one_.model], one_.auc or 0.0, error(one_), one_.brier, one_.top_decile_lift)
            for one_ in ranked
        ),
        chosen=chosen.model,
        candidate=candidate.model,
        rival=rival.model,
        advantage=judged.lead if paired else (candidate.auc or 0.0) - (rival.auc or 0.0),
        advantage_se=judged.lead_error if paired else None,
        calibration=tuple(CalibrationBin(*bin_) for bin_ in judged.judgements[0].bins),
    )
