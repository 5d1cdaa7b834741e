"""Runs are found by what they were given, what they measured and what is said of them, over every store."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.paging import InvalidPageToken
from chassis.testing import ManualClock
from headwater.names import ProjectName
from services.registry.origin import Origin
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects
from services.registry.run_links.model import DataInput
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.runs.fields import searched
from services.registry.runs.model import NewRun, RunState
from services.registry.runs.runs import Runs
from services.registry.runs.wanted import Wanted
from services.registry.search.errors import InvalidFilter, InvalidOrder
from services.registry.values import Json
from tests.contract.registry.builders import metrics

DEFAULT = ProjectName("default")


async def _found(runs: Runs, wanted: str, by: str = "") -> list[str]:
    names: list[str] = []
    token = ""
    while True:
        page = await runs.page(DEFAULT, Wanted(wanted, by), 2, token)
        names += [run.display_name for run in page.items]
        token = page.next_page_token
        if not token:
            return names


async def _make(
    runs: Runs, me: Origin, name: str, parameters: dict[str, Json], tags: dict[str, str], **measured: float
) -> None:
    run = await runs.create(DEFAULT, NewRun(name, "", parameters, tags, {}, "", ""), me)
    await runs.log(run.name, metrics(**measured), {}, me)


@pytest.fixture
async def five(runs: Runs, clock: ManualClock, me: Origin) -> None:
    """Runs a to e."""
    await _make(runs, me, "a", {"lr": 0.1, "optimizer": "adam"}, {"team": "vision"}, acc=0.9, loss=0.3)
    clock.advance(1)
    await _make(runs, me, "b", {"lr": "0.01", "optimizer": "sgd"}, {"team": "speech"}, acc=0.95, loss=0.2)
    clock.advance(1)
    await _make(runs, me, "c", {"lr": 1e-3, "layers": [1.0, {"x": 2.5}]}, {"team": "vision"}, acc=math.nan)
    clock.advance(1)
    await _make(runs, me, "d", {"lr": "auto", "amp": True}, {}, acc=0.5, loss=math.inf)
    clock.advance(1)
    run = await runs.create(DEFAULT, NewRun("e", "", {"batch": 32.0, "none": None}, {"my tag": "x"}, {}, "", ""), me)
    await runs.finish(run.name, RunState.FAILED, "out of memory", me)


@pytest.mark.parametrize(
    ("wanted", "by", "names"),
    [
        ("", "", "edcba"),
        ("metrics.acc > 0.5", "", "ba"),
        ("metrics.acc >= 0.5 AND params.optimizer = 'adam'", "", "a"),
        ("metrics.acc != 0.5", "", "cba"),
        ("metrics.acc IS NULL", "", "e"),
        ("NOT metrics.acc > 0.5", "", "edc"),
        ("params.lr < 0.05", "", "cb"),
        ("params.lr = '0.01' OR params.lr = '0.001'", "", "cb"),
        ("params.lr LIKE 'a%'", "", "d"),
        ("params.lr IN (0.1, 0.01)", "", "ba"),
        ("params.lr IN ('0.1', 'auto')", "", "da"),
        ("params.batch = '32'", "", "e"),
        ("params.amp = 'true' OR params.none = 'null'", "", "ed"),
        ("params.layers LIKE '%2.5%'", "", "c"),
        ("""tags."my tag" = 'x'""", "", "e"),
        ("tags.team NOT LIKE 'v%'", "", "b"),
        ("status = 'FAILED' AND failure LIKE 'out%'", "", "e"),
        ("attributes.run_name IN ('a', 'c') AND tags.team = 'vision'", "", "ca"),
        ("""attributes."run name" = 'b' OR attribute.`Run name` = 'd'""", "Created", "bd"),
        ("end_time IS NOT NULL", "", "e"),
        ("", "metrics.loss", "badce"),
        ("", "metrics.loss desc, display_name", "dabce"),
        ("", "metrics.acc, display_name desc", "dabce"),
        ("", "metrics.acc desc", "badce"),
        ("", "params.lr, display_name", "cbade"),
        ("", "params.lr desc", "abcde"),
        ("", "params.optimizer, start_time desc", "abedc"),
        ("", "tags.team desc, start_time", "acbde"),
        ("", "start_time", "abcde"),
        ("", "end_time, state, start_time desc", "edcba"),
        ("metrics.acc > 0.1", "metrics.acc desc", "bad"),
    ],
)
@pytest.mark.usefixtures("five")
async def test_runs_are_found_in_the_order_asked_for(runs: Runs, wanted: str, by: str, names: str) -> None:
    """M-32, R-28."""
    assert "".join(await _found(runs, wanted, by)) == names


async def test_a_token_is_good_for_its_own_search_only(runs: Runs, me: Origin) -> None:
    for number in range(3):
        await _make(runs, me, "x", {}, {}, acc=float(number))
    first = Wanted("metrics.acc >= 0", "metrics.acc")
    token = (await runs.page(DEFAULT, first, 1, "")).next_page_token
    assert len((await runs.page(DEFAULT, first, 5, token)).items) == 2
    for other in (Wanted("metrics.acc >= 0.0", "metrics.acc"), Wanted(first.filter, "metrics.acc desc"), Wanted()):
        with pytest.raises(InvalidPageToken):
            await runs.page(DEFAULT, other, 1, token)


async def test_what_cannot_be_read_is_refused(runs: Runs) -> None:
    """Promise 16."""
    with pytest.raises(InvalidFilter):
        await runs.page(DEFAULT, Wanted("metrics.acc > '0.9'"), 1, "")
    with pytest.raises(InvalidOrder):
        await runs.page(DEFAULT, Wanted("", "metrics"), 1, "")


async def test_what_another_project_has_is_not_found(runs: Runs, projects: Projects, me: Origin) -> None:
    await projects.create(NewProject("other", "", "", {}), me)
    run = await runs.create(ProjectName("other"), NewRun("x", "", {"lr": 0.1}, {"team": "x"}, {}, "", ""), me)
    await runs.log(run.name, metrics(acc=1.0), {}, me)
    for wanted in ("metrics.acc > 0", "params.lr = 0.1", "tags.team = 'x'", f"uid = '{run.id}'"):
        assert await _found(runs, wanted, "metrics.acc") == []


_PARAMETERS = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    | st.sampled_from(["1", "-.5", "+1e10", "1e999", "0x1", "1_0", "٣", "nan", " 1", "1.", "9" * 101, "1e-99", "."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab€\x7f", max_size=3), inner, max_size=3),
    max_leaves=5,
)


async def test_a_run_is_found_by_its_id_as_mlflow_writes_it(runs: Runs, me: Origin) -> None:
    """R-28."""
    made = [await runs.create(DEFAULT, NewRun(name, "", {}, {}, {}, "", ""), me) for name in "abc"]
    first, second = (run.id.replace("-", "") for run in made[:2])
    assert await _found(runs, f"attributes.run_id IN ('{first}', '{second}')") == ["b", "a"]
    assert await _found(runs, f"run_id != '{first}' AND run_id NOT IN ('{second}')") == ["c"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_PARAMETERS)
async def test_a_parameter_is_found_by_what_it_says(runs: Runs, me: Origin, value: Json) -> None:
    """PostgreSQL's triggers and the code tell the same text and number."""
    run = await runs.create(DEFAULT, NewRun("", "", {"p": value}, {}, {}, "", ""), me)
    text, number = searched(value)
    quoted = text.replace("'", "''")
    wanted = f"uid = '{run.id}' AND params.p = '{quoted}'"
    wanted += f" AND params.p = {number!r}" if number is not None else " AND NOT params.p <= 1e308"
    assert [found.id for found in (await runs.page(DEFAULT, Wanted(wanted), 2, "")).items] == [run.id]


def _data(name: str, digest: str = "", version: str = "", **tags: str) -> DataInput:
    return DataInput(name, digest, "", "", "", "", tags, version)


DIGITS = "projects/default/datasets/digits/versions/v1.0.0"


@pytest.fixture
async def readers(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    """Runs a to d, which read data; e reads none."""
    of_mlflow = {"mlflow.data.context": "training", "context": "nothing"}
    for name, inputs in {
        "a": [_data("digits", "1a", DIGITS, **of_mlflow)],
        "b": [_data("digits", "2b", context="training"), _data("fashion", "1a", context="validation")],
        "c": [_data("Digits")],
        "d": [_data("fashion", "9", **{"mlflow.data.context": ""})],
        "e": [],
    }.items():
        run = await runs.create(DEFAULT, NewRun(name, "", {}, {}, {}, "", ""), me)
        await run_links.log(run.name, data_inputs=inputs, origin=me)


@pytest.mark.parametrize(
    ("wanted", "by", "names"),
    [
        ("datasets.name = 'digits'", "", "ba"),
        ("dataset.name = 'digits' AND dataset.context = 'training'", "", "ba"),
        ("datasets.name = 'digits' AND datasets.context = 'validation'", "", "b"),
        ("datasets.digest IN ('1a', '9')", "", "dba"),
        ("datasets.name ILIKE 'DIGITS'", "", "cba"),
        ("datasets.name LIKE 'f%'", "", "db"),
        ("datasets.name != 'digits'", "", "dcb"),
        ("NOT datasets.name = 'digits'", "", "edc"),
        ("datasets.name NOT IN ('digits', 'Digits')", "", "db"),
        ("datasets.name NOT LIKE 'd%'", "", "dcb"),
        ("datasets.name IS NULL", "", "e"),
        ("datasets.digest IS NULL", "", "ec"),
        ("datasets.context IS NOT NULL", "", "ba"),
        (f"datasets.dataset_version = '{DIGITS}'", "", "a"),
        ("datasets.dataset_version IS NULL", "", "edcb"),
        ("datasets.name = 'fashion' OR display_name = 'e'", "", "edb"),
        ("", "datasets.name, display_name", "cabde"),
        ("", "datasets.digest desc, display_name desc", "dbaec"),
    ],
)
@pytest.mark.usefixtures("readers")
async def test_runs_are_found_by_the_data_that_they_read(runs: Runs, wanted: str, by: str, names: str) -> None:
    """R-28: as MLflow's search_runs does. Of several inputs one has to be so."""
    assert "".join(await _found(runs, wanted, by)) == names
