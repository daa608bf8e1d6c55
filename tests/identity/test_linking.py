from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner

from jingzhe.app.workspace import open_workspace
from jingzhe.cli.main import app
from jingzhe.core.errors import IdentityError, SettingError
from jingzhe.identity import linking
from jingzhe.identity.merges import By, keep_apart
from jingzhe.identity.people import explain
from jingzhe.store.state import State
from tests.identity.stories import CLOCK, dump, tell, who

pytest.importorskip("splink", reason="splink is an extra: pip install 'jingzhe[link]'")

ANN = By("ann", "I know them")
COLUMNS = {"first_name": "name", "surname": "name", "dob": "birthday", "city": "place", "email": "email"}
FAKE_1000 = Path(__file__).resolve().parents[3] / "shared/data/fake_1000.csv"


@pytest.fixture(scope="module")
def fake_1000() -> pa.Table:
    """splink's own test data: 1,000 records of 250 people, with the truth in ``cluster``."""
    if not FAKE_1000.is_file():
        pytest.skip("fake_1000.csv of splink is not on this machine")
    as_text = pacsv.ConvertOptions(column_types={"dob": pa.string()}, strings_can_be_null=True)
    return pacsv.read_csv(FAKE_1000, convert_options=as_text)


def pairs_within(groups: list[set[int]]) -> set[tuple[int, int]]:
    return {pair for group in groups for pair in itertools.combinations(sorted(group), 2)}


def test_people_of_fake_1000_are_found_as_well_as_by_splink_itself(fake_1000: pa.Table) -> None:
    found = linking.match(fake_1000, COLUMNS, threshold=0.5)
    clusters: dict[int, set[int]] = defaultdict(set)
    for row, cluster in enumerate(fake_1000["cluster"].to_pylist()):
        clusters[cluster].add(row)
    truth = pairs_within(list(clusters.values()))
    graph: nx.Graph[int] = nx.Graph(list(zip(found["a"].to_pylist(), found["b"].to_pylist(), strict=True)))
    ours = pairs_within([set(group) for group in nx.connected_components(graph)])
    precision, recall = len(ours & truth) / len(ours), len(ours & truth) / len(truth)
    # splink's own: precision 1.0, recall .850, F1 .919.
    assert 2 * precision * recall / (precision + recall) >= 0.919
    assert precision >= 0.99


def test_nothing_is_applied_before_it_is_accepted(state: State, fake_1000: pa.Table) -> None:
    cards = pa.array([f"card{row}" if row % 2 else None for row in range(1000)], pa.string())
    records = fake_1000.append_column("card", cards)
    tell(state, ["till_card=card1", "till_card=card3"])
    found = linking.propose(
        state, records, COLUMNS, source="members.csv", clock=CLOCK, keys={"card": "till_card"}, threshold=0.9
    )
    assert len(found) > 1000
    assert found == sorted(found, key=lambda one: (-one.probability, one.person_a, one.person_b))
    assert who(state, "till_card=card1") == who(state, "record=members.csv:2") == 1
    assert not dump(state)["identity_override"], "nobody was merged"
    again = linking.propose(
        state, records, COLUMNS, source="members.csv", clock=CLOCK, keys={"card": "till_card"}, threshold=0.9
    )
    assert again == found
    yes, no = found[0], found[1]
    assert linking.accept(state, yes.person_a, yes.person_b, ANN, clock=CLOCK) == yes.person_a
    assert [join.rule for join in explain(state, yes.person_b) if join.outcome == "merged"] == ["accepted match"]
    linking.reject(state, no.person_a, no.person_b, ANN, clock=CLOCK)
    left = {(one.person_a, one.person_b) for one in linking.listed(state)}
    assert left == {(one.person_a, one.person_b) for one in found[2:]}
    decided = linking.listed(state, status="rejected")
    assert [(one.person_a, one.person_b, one.who) for one in decided] == [(no.person_a, no.person_b, "ann")]
    with pytest.raises(IdentityError, match="was rejected before"):
        linking.accept(state, no.person_a, no.person_b, ANN, clock=CLOCK)
    apart = found[2]
    keep_apart(state, apart.person_a, apart.person_b, ANN, clock=CLOCK)
    with pytest.raises(IdentityError, match="kept apart"):
        linking.accept(state, apart.person_a, apart.person_b, ANN, clock=CLOCK)
    assert (apart.person_a, apart.person_b) in {(one.person_a, one.person_b) for one in linking.listed(state)}


def test_a_proposal_that_is_none_is_told(state: State) -> None:
    with pytest.raises(IdentityError, match="no such proposal"):
        linking.accept(state, 1, 2, ANN, clock=CLOCK)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"name": "name", "b": "birthday"}, "no column 'b'"),
        ({"name": "colour"}, "no sort"),
        ({"name": "name"}, "little"),
    ],
)
def test_what_cannot_be_compared_is_told(columns: dict[str, str], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        linking.match(pa.table({"name": ["a"]}), columns)


def test_from_the_command_line(tmp_path: Path, fake_1000: pa.Table) -> None:
    pacsv.write_csv(fake_1000.slice(0, 400), tmp_path / "people.csv")
    home = ["--home", str(tmp_path / "home")]
    columns = [part for name, sort in COLUMNS.items() for part in ("--column", f"{name}={sort}")]
    run = CliRunner()
    done = run.invoke(app, ["link", "propose", str(tmp_path / "people.csv"), *columns, *home])
    assert done.exit_code == 0, done.output
    shown = run.invoke(app, ["link", "list", *home])
    assert "first_name" in shown.output
    with open_workspace(tmp_path / "home") as workspace:
        first = linking.listed(workspace.warehouse.state)[0]
    people = [str(first.person_a), str(first.person_b)]
    done = run.invoke(app, ["link", "accept", *people, "--who", "ann", "--why", "the same", *home])
    assert f"one person now: {first.person_a}" in done.output
