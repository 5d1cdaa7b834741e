"""OpenLineage in and out, with its own library as the other side; PROV-JSON with another reader. Over every store."""

import dataclasses
import datetime
import itertools
import json
from collections.abc import Sequence
from typing import Any

import prov.model
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openlineage.client import event_v2 as ol
from openlineage.client.facet_v2 import (
    documentation_dataset,
    error_message_run,
    parent_run,
    schema_dataset,
    source_code_location_job,
)
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.serde import Serde

from chassis.ids import new_id
from chassis.testing import ManualClock
from headwater.names import ProjectName, RunName
from services.registry.lineage.lineage import Document, Form, Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Node, NodeKind, Role
from services.registry.lineage.openlineage.importing import Imported, OpenLineage
from services.registry.lineage.openlineage.model import Dataset, external_dataset
from services.registry.lineage.openlineage.reading import InvalidOpenLineage, read
from services.registry.memory import MemoryStore
from services.registry.origin import Origin
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects
from services.registry.runs.errors import RunAlreadyExists
from services.registry.runs.model import RunState
from services.registry.runs.runs import Runs
from services.registry.store import Store
from tests.contract.registry.builders import DEFAULT, a_run, dataset_node, pipeline_node

WAREHOUSE = "postgres://db.example:5432"
LATER = datetime.timedelta(minutes=5)
NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


@pytest.fixture
def openlineage(store: Store, clock: ManualClock) -> OpenLineage:
    return OpenLineage(store, clock)


def table(name: str, **facets: Any) -> ol.InputDataset:
    return ol.InputDataset(WAREHOUSE, name, facets=facets)


def an_event(
    state: ol.RunState = ol.RunState.COMPLETE,
    run: str = "",
    *,
    inputs: Sequence[ol.InputDataset] = (),
    outputs: Sequence[str] = (),
    time: datetime.datetime = NOON,
    job: str = "daily.orders",
    run_facets: Any = None,
    job_facets: Any = None,
) -> ol.RunEvent:
    return ol.RunEvent(
        eventType=state,
        eventTime=time.isoformat(),
        run=ol.Run(run or new_id(), facets=run_facets or {}),
        job=ol.Job("airflow", job, facets=job_facets or {}),
        inputs=list(inputs),
        outputs=[ol.OutputDataset(WAREHOUSE, name) for name in outputs],
        producer="https://example.com/producer",
    )


def documentation(text: str) -> Any:
    return documentation_dataset.DocumentationDatasetFacet(description=text)


def schema(fields: Sequence[dict[str, Any]]) -> Any:
    columns = [schema_dataset.SchemaDatasetFacetFields(**field) for field in fields]
    return schema_dataset.SchemaDatasetFacet(fields=columns)


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What takes in and gives out."""

    openlineage: OpenLineage
    lineages: Lineages
    me: Origin

    async def take_in(self, *events: Any, parent: ProjectName = DEFAULT) -> Imported:
        texts = [each if isinstance(each, str) else Serde.to_json(each) for each in events]
        return await self.openlineage.take_in(parent, texts, self.me)

    async def give_out(self, name: str, direction: Direction = Direction.UPSTREAM) -> list[dict[str, Any]]:
        document = await self.lineages.export(Form.OPENLINEAGE, name, direction)
        return [json.loads(line) for line in document.text.splitlines()]


@pytest.fixture
def exchange(openlineage: OpenLineage, lineages: Lineages, me: Origin) -> Exchange:
    return Exchange(openlineage, lineages, me)


def name_of(table_name: str, version: str = "") -> str:
    return external_dataset(DEFAULT, Dataset(WAREHOUSE, table_name, version))


async def test_what_others_ran_is_in_the_graph(exchange: Exchange, runs: Runs) -> None:
    """Data and jobs that Headwater does not know become external nodes; a run becomes a run."""
    run_id = new_id()
    described = documentation_dataset.DocumentationDatasetFacet(description="raw orders")
    schema = schema_dataset.SchemaDatasetFacet(fields=[schema_dataset.SchemaDatasetFacetFields("id", "BIGINT")])
    code = source_code_location_job.SourceCodeLocationJobFacet(
        type="git", url="https://example.com/repo/dag.py", repoUrl="https://example.com/repo", version="abc123"
    )
    imported = await exchange.take_in(
        an_event(ol.RunState.START, run_id, job_facets={"sourceCodeLocation": code}),
        an_event(
            ol.RunState.COMPLETE,
            run_id,
            inputs=[table("orders", documentation=described, schema=schema), table("customers")],
            outputs=["report"],
            time=NOON + LATER,
        ),
    )
    assert imported == Imported(4, [RunName("default", run_id)] * 2)
    run = await runs.get(imported.runs[0])
    assert (run.display_name, run.state, run.start_time, run.end_time) == (
        "daily.orders",
        RunState.SUCCEEDED,
        NOON,
        NOON + LATER,
    )
    graph = await exchange.lineages.get(name_of("report"), Direction.UPSTREAM)
    nodes = {str(node.name): node for node in graph.nodes}
    orders = nodes[name_of("orders")]
    assert isinstance(orders, Node)
    assert (orders.kind, orders.details["description"]) == (NodeKind.DATA, "raw orders")
    annotations = orders.details["annotations"]
    assert isinstance(annotations, dict)
    assert (annotations["openlineage.namespace"], annotations["openlineage.name"]) == (WAREHOUSE, "orders")
    assert json.loads(str(annotations["openlineage.schema"]))[0]["name"] == "id"
    [job] = [node for node in nodes.values() if isinstance(node, Node) and node.kind is NodeKind.EXECUTABLE]
    assert (job.details["repository"], job.details["version"]) == ("https://example.com/repo", "abc123")
    assert len(nodes) == 5


async def test_what_was_told_before_changes_nothing(exchange: Exchange, store: Store) -> None:
    events = [
        an_event(ol.RunState.START, run := new_id(), inputs=[table("a")]),
        an_event(ol.RunState.FAIL, run, inputs=[table("a")], outputs=["b"], time=NOON + LATER),
    ]
    first = await exchange.take_in(*events)
    graph = await exchange.lineages.get(name_of("b"), Direction.UPSTREAM)
    again = await exchange.take_in(*events)
    assert (first.created, again.created, again.runs) == (3, 0, first.runs)
    assert await exchange.lineages.get(name_of("b"), Direction.UPSTREAM) == graph


async def test_a_run_ends_as_its_last_event_says_in_whatever_order_they_come(exchange: Exchange, runs: Runs) -> None:
    failed = error_message_run.ErrorMessageRunFacet(message="out of memory", programmingLanguage="python")
    for state, expected, failure in (
        (ol.RunState.FAIL, RunState.FAILED, "out of memory"),
        (ol.RunState.ABORT, RunState.CANCELLED, ""),
        (ol.RunState.RUNNING, RunState.RUNNING, ""),
    ):
        run_id = new_id()
        last = an_event(state, run_id, time=NOON + LATER, run_facets={"errorMessage": failed})
        imported = await exchange.take_in(last, an_event(ol.RunState.START, run_id))
        run = await runs.get(imported.runs[0])
        assert (run.state, run.failure, run.start_time) == (expected, failure, NOON)
    await exchange.take_in(an_event(ol.RunState.COMPLETE, run_id, time=NOON + 2 * LATER))
    run = await runs.get(imported.runs[0])
    assert (run.state, run.end_time) == (RunState.SUCCEEDED, NOON + 2 * LATER)
    await exchange.take_in(an_event(ol.RunState.FAIL, run_id, time=NOON + 3 * LATER))
    assert (await runs.get(run.name)).state is RunState.SUCCEEDED, "a run that has ended stays so"


async def test_a_run_knows_the_run_that_started_it(exchange: Exchange, runs: Runs) -> None:
    """M-31: where that is known; else its id is kept."""
    parent, child, orphan = new_id(), new_id(), new_id()

    def of(run_id: str) -> dict[str, Any]:
        started = parent_run.ParentRunFacet(run=parent_run.Run(run_id), job=parent_run.Job("airflow", "dag"))
        return {"parent": started}

    gone = new_id()
    await exchange.take_in(
        an_event(run=child, run_facets=of(parent)), an_event(run=orphan, run_facets=of(gone)), an_event(run=parent)
    )
    assert (await runs.get(RunName("default", child))).parent_run == f"projects/default/runs/{parent}"
    assert (await runs.get(RunName("default", orphan))).annotations["openlineage.parent"] == gone


async def test_a_thousand_runs_each_of_which_started_the_next_are_taken_in(clock: ManualClock, me: Origin) -> None:
    """Whichever of them is told of first."""
    store = MemoryStore()
    ids = [new_id() for _ in range(1000)]
    events = []
    for child, parent in itertools.pairwise([*ids, ids[0]]):
        started = parent_run.ParentRunFacet(run=parent_run.Run(parent), job=parent_run.Job("airflow", "dag"))
        events.append(Serde.to_json(an_event(run=child, run_facets={"parent": started})))
    assert len((await OpenLineage(store, clock).take_in(DEFAULT, events, me)).runs) == 1000
    async with store.transaction() as tx:
        found = {run.id: run.parent_run for run in await tx.runs.find([f"{DEFAULT}/runs/{each}" for each in ids])}
    assert sorted(found.values()) == sorted(["", *(f"{DEFAULT}/runs/{each}" for each in ids[1:])]), "but for the cycle"


async def test_versions_of_external_data_are_nodes_of_their_own(exchange: Exchange) -> None:
    """What was made of one version was not made of the next."""
    for version, made in (("1", "x"), ("2", "y")):
        facet = DatasetVersionDatasetFacet(datasetVersion=version)
        await exchange.take_in(an_event(inputs=[table("orders", version=facet)], outputs=[made]))
    found = await exchange.lineages.get(name_of("orders", "2"), Direction.DOWNSTREAM)
    data = {str(node.name) for node in found.nodes if isinstance(node, Node) and node.kind is NodeKind.DATA}
    assert data == {name_of("orders", "2"), name_of("y")}


async def test_what_is_only_described_is_in_the_graph_by_itself(exchange: Exchange) -> None:
    """As the event of a dataset tells it: a file may have some among those of runs."""
    dataset = ol.StaticDataset(WAREHOUSE, "lonely", facets={"documentation": documentation("Nobody reads it")})
    event = ol.DatasetEvent(eventTime=NOON.isoformat(), dataset=dataset, producer="https://example.com/producer")
    run_id = new_id()
    told = await exchange.take_in(an_event(run=run_id), event)
    assert (told.created, [run.run for run in told.runs]) == (1, [run_id])
    graph = await exchange.lineages.get(name_of("lonely"), Direction.DOWNSTREAM)
    assert [isinstance(node, Node) and node.details["description"] for node in graph.nodes] == ["Nobody reads it"]
    assert graph.edges == []


async def test_a_wide_table_and_a_long_description_are_taken_in_as_far_as_they_fit(exchange: Exchange) -> None:
    """Who imports events of others cannot make them shorter."""
    wide = [{"name": f"column {n}", "type": "varchar", "description": "x" * 100} for n in range(200)]
    described = table("described", schema=schema(wide), documentation=documentation("d" * 10_000))
    widest = table("widest", schema=schema(wide * 10))
    await exchange.take_in(an_event(inputs=[described, widest]))
    found = await exchange.lineages.get(name_of("described"), Direction.UPSTREAM)
    details = found.nodes[0].details if isinstance(found.nodes[0], Node) else {}
    assert details["description"] == "d" * 4095 + "…"
    annotations: Any = details["annotations"]
    assert json.loads(annotations["openlineage.schema"]) == [{"name": f["name"], "type": f["type"]} for f in wide]
    assert "openlineage.schema.left_out" not in annotations

    found = await exchange.lineages.get(name_of("widest"), Direction.UPSTREAM)
    annotations = found.nodes[0].details["annotations"] if isinstance(found.nodes[0], Node) else {}
    kept = json.loads(annotations["openlineage.schema"])
    assert [field["name"] for field in kept] == [field["name"] for field in (wide * 10)[: len(kept)]]
    assert 300 < len(kept) == 2000 - int(annotations["openlineage.schema.left_out"])


async def test_a_run_of_another_project_is_not_taken_over(exchange: Exchange, projects: Projects, me: Origin) -> None:
    run_id = new_id()
    await exchange.take_in(an_event(run=run_id))
    await projects.create(NewProject("other", "", "", {}), me)
    with pytest.raises(RunAlreadyExists):
        await exchange.take_in(an_event(run=run_id), parent=ProjectName("other"))


async def _ours(exchange: Exchange, runs: Runs, me: Origin) -> str:
    """Raw data, a pipeline and external data go into a run, prepared data come out; a name of the latter."""
    raw, prepared, linked = dataset_node("v1.0.0"), dataset_node("v1.1.0", "b"), dataset_node("v1.2.0", "c")
    pipeline = pipeline_node()
    run = await runs.create(DEFAULT, a_run(), me)
    name = str(run.name)
    edges = [
        NewEdge(raw.name, name, name, Role.INPUT),
        NewEdge(pipeline.name, name, name, Role.EXECUTABLE),
        NewEdge(name, prepared.name, name, Role.OUTPUT),
        NewEdge(prepared.name, linked.name, "", Role.INPUT),
    ]
    await exchange.lineages.connect(DEFAULT, Connections([raw, prepared, linked, pipeline], edges), me)
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    await exchange.take_in(an_event(inputs=[table("source")], outputs=["elsewhere"]))
    external = name_of("elsewhere")
    await exchange.lineages.connect(DEFAULT, Connections([], [NewEdge(external, raw.name, "", Role.INPUT)]), me)
    return linked.name


async def test_what_is_given_out_are_events_of_the_specification(exchange: Exchange, runs: Runs, me: Origin) -> None:
    """Each event is built again by the library's classes, which check it."""
    events = await exchange.give_out(await _ours(exchange, runs, me))
    kinds = [event.get("eventType", "job") for event in events]
    assert sorted(kinds) == ["COMPLETE", "COMPLETE", "START", "START", "job", "job"]
    for event in events:
        job = ol.Job(**event["job"])
        inputs = [ol.InputDataset(**each) for each in event["inputs"]]
        outputs = [ol.OutputDataset(**each) for each in event["outputs"]]
        common = {"eventTime": event["eventTime"], "producer": event["producer"], "inputs": inputs, "outputs": outputs}
        if "run" in event:
            kind = ol.RunState(event["eventType"])
            rebuilt: Any = ol.RunEvent(eventType=kind, run=ol.Run(**event["run"]), job=job, **common)
        else:
            rebuilt = ol.JobEvent(job=job, **common)
        assert rebuilt.schemaURL == event["schemaURL"]
        facets = [event["job"], event.get("run", {}), *event["inputs"], *event["outputs"]]
        for facet in (facet for each in facets for facet in each.get("facets", {}).values()):
            assert facet["_producer"]
            assert facet["_schemaURL"]
    ended = [event for event in events if event.get("eventType") == "COMPLETE"]
    [ours] = [event for event in ended if event["inputs"][0]["namespace"] != WAREHOUSE]
    assert ours["job"] == {"namespace": "headwater://default", "name": "pipelines/prep/versions/1"}
    assert ours["inputs"][0]["name"] == "datasets/digits/versions/v1.0.0"


async def test_what_was_given_out_is_known_when_it_comes_back(exchange: Exchange, runs: Runs, me: Origin) -> None:
    name = await _ours(exchange, runs, me)
    graph = await exchange.lineages.get(name, Direction.UPSTREAM)
    lines = (await exchange.lineages.export(Form.OPENLINEAGE, name, Direction.UPSTREAM)).text.splitlines()
    assert (await exchange.take_in(*lines)).created == 0
    assert await exchange.lineages.get(name, Direction.UPSTREAM) == graph


async def test_it_can_be_taken_in_where_nothing_is_known_of_it(
    exchange: Exchange, runs: Runs, me: Origin, clock: ManualClock
) -> None:
    """Another installation has other nodes for it, and the same edges."""
    name = await _ours(exchange, runs, me)
    graph = await exchange.lineages.get(name, Direction.UPSTREAM)
    lines = (await exchange.lineages.export(Form.OPENLINEAGE, name, Direction.UPSTREAM)).text.splitlines()
    there = MemoryStore()
    imported = await OpenLineage(there, clock).take_in(DEFAULT, lines, me)
    # An executable of ours is no job of theirs.
    assert imported.created == len([edge for edge in graph.edges if edge.first != pipeline_node().name])


async def test_a_schema_goes_out_as_it_came_in(exchange: Exchange) -> None:
    fields = [{"name": "id", "type": "int"}, {"name": "at", "type": "timestamp", "description": "when"}]
    await exchange.take_in(an_event(inputs=[table("orders", schema=schema(fields))], outputs=["totals"]))
    *_, event = await exchange.give_out(name_of("totals"))
    told = [{k: v for k, v in each.items() if v} for each in event["inputs"][0]["facets"]["schema"]["fields"]]
    assert told == fields


@pytest.mark.parametrize("annotations", [{"openlineage.name": "x"}, {"openlineage.schema": "[" * 9999}])
async def test_what_reads_like_a_name_elsewhere_but_is_none_is_left_as_it_is(
    exchange: Exchange, annotations: dict[str, str], me: Origin
) -> None:
    """Anybody may write annotations."""
    node = dataclasses.replace(dataset_node("v9.0.0"), details={"annotations": {**annotations}})
    other = dataset_node("v9.1.0", "b")
    edges = [NewEdge(node.name, other.name, "", Role.INPUT)]
    await exchange.lineages.connect(DEFAULT, Connections([node, other], edges), me)
    event = (await exchange.give_out(other.name))[0]
    assert [each["name"] for each in event["inputs"]] == ["datasets/digits/versions/v9.0.0"]
    assert "schema" not in event["inputs"][0]["facets"]
    assert (await exchange.lineages.export(Form.PROV_JSON, other.name, Direction.UPSTREAM)).text


async def test_prov_json_says_the_same(exchange: Exchange, runs: Runs, me: Origin) -> None:
    """Read by the reference implementation of another author."""
    name = await _ours(exchange, runs, me)
    graph = await exchange.lineages.get(name, Direction.UPSTREAM)
    exported = await exchange.lineages.export(Form.PROV_JSON, name, Direction.UPSTREAM)
    assert isinstance(exported, Document)
    document = prov.model.ProvDocument.deserialize(content=exported.text, format="json")

    def count(kind: type) -> int:
        return len(list(document.get_records(kind)))

    is_run = {str(node.name): not isinstance(node, Node) for node in graph.nodes}
    assert count(prov.model.ProvActivity) == sum(is_run.values()) == 2
    assert count(prov.model.ProvEntity) == len(graph.nodes) - 2
    assert count(prov.model.ProvUsage) == sum(is_run[edge.second] for edge in graph.edges)
    assert count(prov.model.ProvGeneration) == sum(is_run[edge.first] for edge in graph.edges)
    derived = [edge for edge in graph.edges if not is_run[edge.first] and not is_run[edge.second]]
    assert count(prov.model.ProvDerivation) == len(derived) == 2
    assert count(prov.model.ProvAgent) == 1
    assert count(prov.model.ProvAssociation) == 2
    entities = {str(record.identifier) for record in document.get_records(prov.model.ProvEntity)}
    assert f"hw:{name}" in entities


async def test_prov_json_says_what_external_data_is_called_where_it_is(exchange: Exchange) -> None:
    await exchange.take_in(an_event(inputs=[table("public.orders")], outputs=["public.totals"]))
    exported = await exchange.lineages.export(Form.PROV_JSON, name_of("public.totals"), Direction.UPSTREAM)
    document = prov.model.ProvDocument.deserialize(content=exported.text, format="json")
    labels = {
        (str(record.label), *record.get_attribute("hwt:namespace"))
        for record in document.get_records(prov.model.ProvEntity)
    }
    assert labels == {("public.orders", WAREHOUSE), ("public.totals", WAREHOUSE), ("daily.orders", "airflow")}


HEAD = {"eventTime": NOON.isoformat(), "producer": "https://example.com/producer", "schemaURL": "https://example.com"}
GOOD: dict[str, Any] = json.loads(Serde.to_json(an_event(inputs=[table("a")], outputs=["b"])))


def _changed(path: str, value: Any = ...) -> str:
    """The good event with another value at ``path``, or without it."""
    event = json.loads(json.dumps(GOOD))
    *parents, last = [int(each) if each.isdigit() else each for each in path.split(".")]
    at: Any = event
    for each in parents:
        at = at[each] if isinstance(each, int) else at.setdefault(each, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(event)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", ""),
        ("[" * 100_000, ""),
        ('{"eventTime": NaN}', ""),
        ("[]", ""),
        ("null", ""),
        (_changed("eventTime"), "eventTime"),
        (_changed("eventTime", "yesterday"), "eventTime"),
        (_changed("eventTime", "2026-01-31T12:00:00"), "eventTime"),
        (_changed("eventTime", "0001-01-01T00:00:00+23:00"), "eventTime"),
        (_changed("eventType", "DONE"), "eventType"),
        (_changed("eventType", []), "eventType"),
        (_changed("producer"), "producer"),
        (_changed("schemaURL", 7), "schemaURL"),
        (_changed("run", None), "run"),
        (_changed("run.runId"), "run.runId"),
        (_changed("run.runId", "../etc"), "run.runId"),
        (_changed("run.facets.parent", {"run": {}}), "run.facets.parent.run.runId"),
        (_changed("run.facets.headwater_run", {"executables": "x"}), "run.facets.headwater_run.executables"),
        (_changed("job"), "job"),
        (_changed("job.name", ""), "job.name"),
        (_changed("job.namespace", "x" * 3000), "job.namespace"),
        (_changed("inputs", {}), "inputs"),
        (_changed("inputs", [{}] * 1001), "inputs"),
        (_changed("inputs.0.name"), "inputs[0].name"),
        (_changed("inputs.0.name", "a\0b"), "inputs[0].name"),
        (_changed("inputs.0.name", "\ud800"), "inputs[0].name"),
        (_changed("outputs.0", "b"), "outputs[0]"),
        (_changed("outputs.0.facets.version", {"datasetVersion": 3}), "outputs[0].facets.version.datasetVersion"),
        (_changed("outputs.0.facets.schema", {"fields": ["x" * 20_000]}), "outputs[0].facets.schema.fields"),
        (_changed("eventTime", "0001-01-01T00:00:00Z"), "eventTime"),
        (_changed("eventTime", "9999-12-31T23:59:59.999999Z"), "eventTime"),
        (json.dumps({"dataset": {"name": "a"}, **HEAD}), "dataset.namespace"),
    ],
)
def test_what_is_no_event_is_refused_with_its_place(text: str, field: str) -> None:
    with pytest.raises(InvalidOpenLineage) as refused:
        read(text, 7)
    assert (refused.value.metadata["event"], refused.value.metadata["field"]) == ("7", field)
    assert "event 7" in refused.value.message


async def test_one_bad_event_and_nothing_is_taken_in(exchange: Exchange, runs: Runs) -> None:
    run_id = new_id()
    with pytest.raises(InvalidOpenLineage):
        await exchange.take_in(an_event(run=run_id), "{}")
    assert (await exchange.take_in(an_event(run=run_id))).created == 1


KEYS = st.sampled_from(["run", "name", "facets"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    ["run", "run.facets", "job", "job.facets", "inputs", "inputs.0", "inputs.0.facets", "eventTime"]
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.differing_executors])
@given(path=PATHS, value=JSON)
def test_whatever_is_said_it_is_read_or_refused(path: str, value: Any) -> None:
    try:
        event = read(_changed(path, value), 0)
    except InvalidOpenLineage:
        return
    assert event.job
    assert event.job.name
