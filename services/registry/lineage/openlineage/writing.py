"""Writes a part of the graph as OpenLineage events: one or two of each run, and one of a job for edges without a run.

Everything that is no run is a dataset to OpenLineage, but for the executable that is the run's job. That one run came
of another has no place in it.
"""

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.registry.lineage.model import Edge, Node, NodeKind, kind_of
from services.registry.lineage.nodes import AnyNode
from services.registry.lineage.openlineage.model import CONNECTIONS, OURS, EventType, name_elsewhere, their_name
from services.registry.runs.model import BriefRun, RunState
from services.registry.values import Json
from services.registry.versions.model import ModelVersion

PRODUCER = "urn:headwater"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs"
_ENDS: Mapping[RunState, EventType] = {
    RunState.SUCCEEDED: EventType.COMPLETE,
    RunState.FAILED: EventType.FAIL,
    RunState.CANCELLED: EventType.ABORT,
}

Object = dict[str, Any]


def write(nodes: Sequence[AnyNode], edges: Sequence[Edge], now: datetime.datetime) -> str:
    """The events, a JSON object a line. ``now`` is the time of what has none of its own."""
    known = {str(node.name): node for node in nodes}
    beside: dict[str, list[Edge]] = {node.name: [] for node in nodes if isinstance(node, BriefRun)}
    for edge in edges:
        for name in {edge.first, edge.second, edge.run} & beside.keys():
            beside[name].append(edge)
    events = [
        *(event for node in nodes if isinstance(node, BriefRun) for event in _of_run(node, beside[node.name], known)),
        *_of_jobs(edges, known, now),
    ]
    return "".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)


def _of_run(run: BriefRun, mine: Sequence[Edge], known: Mapping[str, AnyNode]) -> Iterator[Object]:
    into = [edge.first for edge in mine if kind_of(edge.first) is not NodeKind.RUN]
    outputs = [edge.second for edge in mine if kind_of(edge.second) is not NodeKind.RUN]
    executables = [each for each in dict.fromkeys(into) if kind_of(each) is NodeKind.EXECUTABLE]
    inputs = [each for each in into if each not in executables]
    job = _job(run, executables, known)
    facets: Object = {"headwater_run": _facet({"name": run.name, "executables": executables}, "HeadwaterRunFacet")}
    if run.parent_run:
        facets["parent"] = _parent(run)
    yield _event(EventType.START, run.start_time, {"runId": run.id, "facets": facets}, job, [], [])
    end = _ENDS.get(run.state)
    if end is EventType.FAIL:
        told = {"message": run.failure or "failed", "programmingLanguage": "unknown"}
        facets = {**facets, "errorMessage": _facet(told, "ErrorMessageRunFacet", "1-0-1")}
    time = run.end_time if end and run.end_time else run.start_time
    described = {"runId": run.id, "facets": facets}
    yield _event(end or EventType.RUNNING, time, described, job, _datasets(inputs, known), _datasets(outputs, known))


def _of_jobs(edges: Sequence[Edge], known: Mapping[str, AnyNode], now: datetime.datetime) -> Iterator[Object]:
    """Edges that no run of this part made: what they lead into, with all that went into it."""
    into: dict[str, list[str]] = {}
    for edge in edges:
        ends = (edge.first, edge.second, edge.run)
        if not any(name in known and kind_of(name) is NodeKind.RUN for name in ends if name):
            into.setdefault(edge.second, []).append(edge.first)
    for second, firsts in into.items():
        namespace, _ = their_name(second)
        job = {"namespace": namespace, "name": CONNECTIONS}
        yield _event(None, now, None, job, _datasets(firsts, known), _datasets([second], known))


def _event(
    kind: EventType | None,
    time: datetime.datetime,
    run: Object | None,
    job: Object,
    inputs: Sequence[Object],
    outputs: Sequence[Object],
) -> Object:
    event: Object = {"eventTime": time.isoformat(), "producer": PRODUCER}
    if kind is None or run is None:
        event |= {"schemaURL": f"{_EVENT}/JobEvent"}
    else:
        event |= {"schemaURL": f"{_EVENT}/RunEvent", "eventType": kind.value, "run": run}
    return {**event, "job": job, "inputs": inputs, "outputs": outputs}


def _job(run: BriefRun, executables: Sequence[str], known: Mapping[str, AnyNode]) -> Object:
    """What others call the first executable of the run; a run without any is a job by itself."""
    if not executables:
        return {"namespace": f"{OURS}{run.project}", "name": run.display_name or "run"}
    namespace, name, _ = _called(executables[0], known)
    return {"namespace": namespace, "name": name}


def _parent(run: BriefRun) -> Object:
    job = {"namespace": f"{OURS}{run.project}", "name": "run"}
    told = {"run": {"runId": run.parent_run.rpartition("/")[2]}, "job": job}
    return _facet(told, "ParentRunFacet", "1-0-1")


def _datasets(names: Iterable[str], known: Mapping[str, AnyNode]) -> list[Object]:
    found = []
    for name in dict.fromkeys(names):
        namespace, theirs, version = _called(name, known)
        facets: Object = {}
        if version:
            facets["version"] = _facet({"datasetVersion": version}, "DatasetVersionDatasetFacet", "1-0-1")
        description = _description(known.get(name))
        if description:
            facets["documentation"] = _facet({"description": description}, "DocumentationDatasetFacet", "1-0-1")
        if schema := _schema(known.get(name)):
            facets["schema"] = _facet({"fields": schema}, "SchemaDatasetFacet", "1-1-1")
        found.append({"namespace": namespace, "name": theirs, "facets": facets})
    return found


def _called(name: str, known: Mapping[str, AnyNode]) -> tuple[str, str, str]:
    """Namespace, name and version by which others know it."""
    node = known.get(name)
    if isinstance(node, Node) and (told := name_elsewhere(node.details)):
        return (*told, str(node.details.get("version", "")))
    version = node.digest if isinstance(node, Node | ModelVersion) else ""
    return (*their_name(name), version)


def _description(node: AnyNode | None) -> str:
    if isinstance(node, Node):
        return str(node.details.get("description", ""))
    return node.description if isinstance(node, ModelVersion) else ""


def _schema(node: AnyNode | None) -> list[Json]:
    """The schema that an event told of; nothing where it was told in part, or by somebody who wrote what is none."""
    said = node.details.get("annotations") if isinstance(node, Node) else None
    if not isinstance(said, Mapping) or "openlineage.schema.left_out" in said:
        return []
    try:
        fields = json.loads(str(said.get("openlineage.schema", "[]")))
    except (ValueError, RecursionError):
        return []
    return fields if isinstance(fields, list) else []


def _facet(values: Object, schema: str, version: str = "") -> Object:
    url = f"{_SPEC}/facets/{version}/{schema}.json#/$defs/{schema}" if version else f"{PRODUCER}:openlineage:{schema}"
    return {"_producer": PRODUCER, "_schemaURL": url, **values}
