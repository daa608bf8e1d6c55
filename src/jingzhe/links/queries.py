"""What came of codes: scans, visitors, identified people, and purchases afterwards."""

from __future__ import annotations

from jingzhe.store.query import Query, Step

_SCANS = Step(
    "scans",
    "SELECT substr(path, 4) AS code, ts, person_id, starts_with(anonymous_id, 'bot-') AS bot, "
    "starts_with(anonymous_id, 'anyone-') AS anyone FROM event_details "
    "WHERE sent_name = 'code_scanned' AND starts_with(source, 'codes: ') AND starts_with(path, '/l/') "
    "AND ts >= $since AND ts < $until AND ($code = '' OR path = '/l/' || $code)",
)
_VISITS = Step(
    "visits",
    "SELECT code, person_id, min(ts) AS first_at, max(ts) AS last_at FROM scans WHERE NOT bot AND NOT anyone "
    "GROUP BY code, person_id",
)
_KNOWN = Step("known", "SELECT DISTINCT person_id FROM identities")
_BOUGHT = Step(
    "bought", "SELECT person_id, event_id, ts, revenue FROM events WHERE activity = 'purchase' AND ts >= $since"
)
# A purchase counts once for a code, however often its buyer had scanned.
_AFTER = Step(
    "after",
    "SELECT s.code, b.person_id, b.event_id, max(b.revenue) AS revenue FROM bought AS b "
    "JOIN scans AS s USING (person_id) WHERE NOT s.bot AND NOT s.anyone AND b.ts >= s.ts "
    "AND epoch_us(b.ts) < epoch_us(s.ts) + $within_us GROUP BY s.code, b.person_id, b.event_id",
)
_PER_CODE = Step(
    "per_code",
    "SELECT code, sum(CASE WHEN bot THEN 0 ELSE 1 END) AS scans, sum(CASE WHEN bot THEN 1 ELSE 0 END) AS bot_scans, "
    "sum(CASE WHEN anyone THEN 1 ELSE 0 END) AS scans_of_anyone, min(ts) AS first_at, max(ts) AS last_at "
    "FROM scans GROUP BY code",
)
_PEOPLE = Step(
    "people_of",
    "SELECT code, count(*) AS visitors, sum(CASE WHEN k.person_id IS NULL THEN 0 ELSE 1 END) AS identified "
    "FROM visits AS v LEFT JOIN known AS k USING (person_id) GROUP BY code",
)
_MONEY = Step(
    "money",
    "SELECT code, count(*) AS purchases, count(DISTINCT person_id) AS buyers, sum(revenue) AS revenue "
    "FROM after GROUP BY code",
)
CODE_FIGURES = Query(
    "code_figures",
    (
        _SCANS, _VISITS, _KNOWN, _BOUGHT, _AFTER, _PER_CODE, _PEOPLE, _MONEY,
        Step(
            "answer",
            "SELECT c.code, CAST(c.scans AS BIGINT) AS scans, CAST(c.scans_of_anyone AS BIGINT) AS scans_of_anyone, "
            "CAST(c.bot_scans AS BIGINT) AS bot_scans, CAST(coalesce(p.visitors, 0) AS BIGINT) AS visitors, "
            "CAST(coalesce(p.identified, 0) AS BIGINT) AS identified, "
            "CAST(coalesce(m.purchases, 0) AS BIGINT) AS purchases, CAST(coalesce(m.buyers, 0) AS BIGINT) AS buyers, "
            "coalesce(m.revenue, 0) AS revenue, c.first_at, c.last_at FROM per_code AS c "
            "LEFT JOIN people_of AS p USING (code) LEFT JOIN money AS m USING (code) ORDER BY c.code",
        ),
    ),
    "one code that was scanned in the window; purchases within some time after a scan of it, by whoever scanned it",
)  # fmt: skip
