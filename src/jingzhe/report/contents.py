"""What a report says, aggregated: nothing here grows with the number of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from jingzhe.core.text import Text
from jingzhe.profile.rfm import Thresholds


@dataclass(frozen=True)
class CalibrationBin:
    """People with similar predictions, and what they did.

    Args:
        predicted: mean predicted probability of an order within the horizon, 0 to 1.
        observed: share of them that ordered, 0 to 1.
        people: how many.
    """

    predicted: float
    observed: float
    people: int


@dataclass(frozen=True)
class ModelResult:
    """One model or rule on data after the cut.

    Args:
        key: stable name, such as ``edge`` or ``bgnbd``.
        name: for people.
        auc: area under the ROC curve for an order within the horizon.
        auc_se: its standard error; None where it was not measured.
        brier: mean squared error of the probability; None for rules without probabilities.
        lift: returners among the tenth with the highest score, relative to everybody; None if not measured.
    """

    key: str
    name: Text
    auc: float
    auc_se: float | None = None
    brier: float | None = None
    lift: float | None = None


@dataclass(frozen=True)
class Backtest:
    """Models trained up to a cut and judged on what came after it.

    Args:
        cut: last day that the models saw.
        horizon_days: length of the time after the cut.
        people: how many were judged.
        returned: how many of them ordered within the horizon.
        models: results.
        chosen: key of the model whose probabilities the report uses.
        candidate: key of the learned model that had to beat the others.
        rival: key of the best other model.
        advantage: AUC of the candidate minus AUC of the rival.
        advantage_se: standard error of that difference; None where it was not measured.
        calibration: bins of the chosen model.
    """

    cut: date
    horizon_days: int
    people: int
    returned: int
    models: tuple[ModelResult, ...]
    chosen: str
    candidate: str
    rival: str
    advantage: float
    advantage_se: float | None = None
    calibration: tuple[CalibrationBin, ...] = ()

    @property
    def ranked(self) -> tuple[ModelResult, ...]:
        """Returns the models, the best ranking first."""
        return tuple(sorted(self.models, key=lambda model: -model.auc))

    def model(self, key: str) -> ModelResult:
        """Returns the result of the model ``key``; raises KeyError where there is none."""
        for model in self.models:
            if model.key == key:
                return model
        raise KeyError(key)


@dataclass(frozen=True)
class Imports:
    """What the imports met, over all of them.

    Args:
        rows_read: rows read from files and databases.
        rows_accepted: rows that became events or lines of an order.
        duplicates: rows skipped because they were there already.
    """

    rows_read: int
    rows_accepted: int
    duplicates: int


@dataclass(frozen=True)
class Frame:
    """What the tables do not say, given by whoever asks for a report.

    Args:
        project: name of the business or project.
        as_of: day at whose end everything holds.
        generated_at: moment of writing, aware.
        horizon_days: horizon of the probabilities.
        before: earlier day to compare with; then ``people_before`` must be readable. None: no comparison.
        currency: ISO 4217 code; empty where unknown.
        sources: names of files, shops or databases behind the data.
        backtest: how the models did; None where there is none yet.
        imports: what the imports met; None where it is not known.
        reason_names: words for the reason codes of the quarantine; a code without words is shown as it is.
        dormant_after_days: threshold for people without a rhythm of their own.
        lost_after_days: the same for lost.
        decline_ratio: share of the window before below which activity or spend counts as falling.
        rfm: thresholds of the RFM classes, told on the page; None: not told.
        top: length of the list of people at the edge.
        mask_keys: True to hide the middle of customer keys.
    """

    project: str
    as_of: date
    generated_at: datetime
    horizon_days: int
    before: date | None = None
    currency: str = ""
    sources: tuple[str, ...] = ()
    backtest: Backtest | None = None
    imports: Imports | None = None
    reason_names: Mapping[str, Text] = field(default_factory=dict)
    dormant_after_days: int = 180
    lost_after_days: int = 365
    decline_ratio: float = 0.5
    rfm: Thresholds | None = None
    top: int = 20
    mask_keys: bool = True


@dataclass(frozen=True)
class Totals:
    """The whole pool in numbers.

    Args:
        people: everybody known.
        buyers: people with at least one order.
        scored: buyers with a score.
        rhythmless: buyers whose thresholds do not follow a rhythm of their own.
        orders: orders of all time.
        spend: their revenue, before refunds.
        spend_year: revenue of the last 365 days, before refunds.
        first_day: first day with an order; None without orders.
        last_day: last day with an order.
    """

    people: int = 0
    buyers: int = 0
    scored: int = 0
    rhythmless: int = 0
    orders: int = 0
    spend: float = 0.0
    spend_year: float = 0.0
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True)
class StateCount:
    """One state of the pool.

    Args:
        state: its key.
        people: how many stand in it.
        spend_year: their revenue of the last 365 days, before refunds.
        expected_value: their expected spend within the horizon; None without scores.
        people_before: how many stood in it on the earlier day; None without one.
    """

    state: str
    people: int
    spend_year: float
    expected_value: float | None
    people_before: int | None = None


@dataclass(frozen=True)
class Move:
    """People who stood in one state on the earlier day and stand in another (or the same) now.

    Args:
        before: state on the earlier day, or ``absent``.
        now: state now.
        people: how many.
    """

    before: str
    now: str
    people: int


@dataclass(frozen=True)
class Stake:
    """One of the four groups into which buyers fall: steady, edge, dormant, lost.

    Args:
        group: its key.
        people: how many.
        spend_year: their revenue of the last 365 days, before refunds.
        expected_value: their expected spend within the horizon.
    """

    group: str
    people: int
    spend_year: float
    expected_value: float


@dataclass(frozen=True)
class RfmClass:
    """One of the 8 RFM classes: its key, its people and what they have spent so far, net of refunds."""

    key: str
    people: int
    spend: float


@dataclass(frozen=True)
class RfmCell:
    """One cell of recency score by frequency score, 1 to 5 each, 5 being best."""

    recency: int
    frequency: int
    people: int
    spend: float


@dataclass(frozen=True)
class QuietTier:
    """Dormant or lost people of one value tier.

    Args:
        state: ``dormant`` or ``lost``.
        tier: ``high``, ``middle`` or ``low``.
        people: how many.
        spend: what they have spent so far, net of refunds.
        expected_value: expected spend within the horizon.
        expected_returns: sum of their probabilities of an order within the horizon.
        expected_returns_sd: its standard deviation if people decide independently.
    """

    state: str
    tier: str
    people: int
    spend: float
    expected_value: float
    expected_returns: float
    expected_returns_sd: float


@dataclass(frozen=True)
class EdgePerson:
    """One person of the list of those at the edge.

    Args:
        person_id: number by which other lists name the person.
        key: key of the source, masked; empty where there is none.
        state: present state.
        tier: value tier; empty where unknown.
        last_order: day of the last order.
        silence_days: days since.
        p_return: probability of an order within the horizon.
        dormant_on: predicted day from which the silence counts as dormant.
        spend_year: revenue of the last 365 days, before refunds.
        expected_value: expected spend within the horizon.
        evidence: why, in words.
    """

    person_id: int
    key: str
    state: str
    tier: str
    last_order: date
    silence_days: int
    p_return: float
    dormant_on: date | None
    spend_year: float
    expected_value: float
    evidence: Text


@dataclass(frozen=True)
class EdgeWeek:
    """People at the edge who turn dormant in the week from ``first_day`` if they stay silent."""

    first_day: date
    people: int
    spend_year: float


@dataclass(frozen=True)
class SilenceBin:
    """Buyers of one state whose silence is a given multiple of their own cycle."""

    bin: str
    state: str
    people: int


@dataclass(frozen=True)
class Rejected:
    """Rows refused for one reason."""

    reason: Text
    field: str
    rows: int


@dataclass(frozen=True)
class DayGap:
    """The longest run of days without any order: first and last silent day."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """Returns its length, days."""
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True)
class Quality:
    """What the data are like.

    Args:
        imports: rows read, accepted and skipped; None where it is not known.
        rejected: refused rows by reason, the most frequent first.
        days_with_orders: days with at least one order.
        days_in_range: days from the first order to ``as_of``.
        longest_gap: longest run of days without an order; None where there is none.
    """

    imports: Imports | None = None
    rejected: tuple[Rejected, ...] = ()
    days_with_orders: int = 0
    days_in_range: int = 0
    longest_gap: DayGap | None = None

    @property
    def rejected_rows(self) -> int:
        """Returns how many rows were refused."""
        return sum(rejected.rows for rejected in self.rejected)


@dataclass(frozen=True)
class ReportData:
    """Everything a page shows."""

    frame: Frame
    totals: Totals = Totals()
    states: tuple[StateCount, ...] = ()
    moves: tuple[Move, ...] = ()
    stakes: tuple[Stake, ...] = ()
    rfm_classes: tuple[RfmClass, ...] = ()
    rfm_cells: tuple[RfmCell, ...] = ()
    tiers: tuple[QuietTier, ...] = ()
    edge: tuple[EdgePerson, ...] = ()
    edge_weeks: tuple[EdgeWeek, ...] = ()
    silence: tuple[SilenceBin, ...] = ()
    quality: Quality = Quality()

    def state_people(self, *states: str) -> int:
        """Returns how many people stand in ``states``."""
        return sum(count.people for count in self.states if count.state in states)

    def stake(self, group: str) -> Stake:
        """Returns a group of buyers; of nobody where it is empty."""
        return next((stake for stake in self.stakes if stake.group == group), Stake(group, 0, 0.0, 0.0))
