"""``headwater record``: what was recorded of requests, and what turned out to be true of them."""

import datetime
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import pyarrow.parquet

from headwater import inference_log, inference_records, model_pointers, references
from headwater.cli.render import as_json, errors, facts, output, table, when
from headwater.client import Connection
from headwater.errors import InvalidArgument, NotFound
from headwater.inference.v1 import deployments_pb2, recording_pb2
from headwater.names import DEFAULT_PROJECT, InferenceRecordName

app = cyclopts.App(name="record", help="Records of inference requests, and feedback on them.")

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]
Shape = Literal["log", "request", "monitored-request", "monitored-prediction"]


@app.command(name="list")
def list_(
    *,
    deployment: str | None = None,
    version: str | None = None,
    result: str = "",
    failures: bool = False,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    limit: int = 50,
    project: str = DEFAULT_PROJECT,
) -> None:
    """List records, newest first.

    Parameters
    ----------
    deployment
        Only those of this deployment, which may be archived.
    version
        Only those that this version answered: digits@3, or digits@production for the one that holds the stage now.
    result
        Only those that ended so: OK, or the reason of an error.
    failures
        Only those that did not end as OK.
    since
        Only requests from this time on, in your own time zone if it has none.
    until
        Only requests before this time.
    limit
        At most this many.
    project
        The project of all.
    """
    if failures and result:
        raise InvalidArgument("Give --result or --failures.", field="failures")
    if limit < 1:
        raise InvalidArgument(f"At least one record is listed; --limit is {limit}.", field="limit")
    chosen = references.deployment(deployment, project) if deployment else None
    with Connection.discover() as connection:
        found = inference_records.find(
            connection,
            references.project(project),
            deployment=chosen,
            model_version=model_pointers.named(connection, version, project=project) if version else None,
            result_code=result,
            start=since and since.astimezone(),
            end=until and until.astimezone(),
            failures=failures,
        )
        rows = [
            (
                each.name.rpartition("/")[2],
                when(each.request_time),
                each.deployment.rpartition("/")[2],
                each.model_version.rpartition("/")[2],
                each.result_code,
                f"{each.latency_ms:.1f}",
                each.caller,
            )
            for each in itertools.islice(found, limit)
        ]
    table(("request", "time", "deployment", "version", "result", "ms", "caller"), rows)


@app.command
def show(record: str, *, mlspec: Shape | None = None, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show one record, with the tensors that were recorded and what was said of it later.

    Parameters
    ----------
    record
        The request id, or the record's full name.
    mlspec
        Print it in this of MLSpec's shapes.
    in_json
        Print everything as JSON, in the shape of the proto InferenceRecord.
    project
        The project.
    """
    with Connection.discover() as connection:
        found = inference_records.get(connection, _name(record, project), with_bodies=True)
        columns = _columns(connection, found) if mlspec == "request" else {}
    if mlspec:
        output.print(json.dumps(_shaped(mlspec, found, columns), indent=2, ensure_ascii=False), markup=False)
    elif in_json:
        as_json(found)
    else:
        _print(found)


@app.command
def feedback(
    record: str,
    *,
    truth: str | None = None,
    score: float | None = None,
    action: Sequence[str] = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Say what turned out to be true of a prediction, or how useful it was.

    Parameters
    ----------
    record
        The request id, or the record's full name.
    truth
        What is true, as JSON (7, true, '"seven"'); what is no JSON is a text.
    score
        How useful it was, from 0 to 1.
    action
        What its user did with it; may be given many times.
    project
        The project.
    """
    with Connection.discover() as connection:
        name = _name(record, project)
        new = inference_records.say(connection, name, ground_truth=_value(truth), score=score, actions=list(action))
    facts(record=str(name), feedback="recorded" if new else "was recorded before")


@app.command
def export(
    file: Path,
    *,
    deployment: str | None = None,
    version: str | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    result: str = "",
    filter: str = "",  # noqa: A002 (the option is called so)
    bodies: bool = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Write records into a Parquet file.

    Parameters
    ----------
    file
        The file; one that is there is replaced.
    deployment
        Only those of this deployment, which may be archived.
    version
        Only those that this version answered: digits@3, for example.
    since
        Only requests from this time on, in your own time zone if it has none.
    until
        Only requests before this time.
    result
        Only those that ended so: OK, or the reason of an error.
    filter
        Only those that satisfy this condition, as in SQL's WHERE: "latency_ms > 100".
    bodies
        Also the tensors that were recorded.
    project
        The project.
    """
    rows = 0
    with Connection.discover() as connection:
        wanted = inference_records.query(
            references.project(project),
            deployment=references.deployment(deployment, project) if deployment else None,
            model_version=model_pointers.named(connection, version, project=project) if version else None,
            result_code=result,
            start=since and since.astimezone(),
            end=until and until.astimezone(),
            with_bodies=bodies,
            filter=filter,
        )
        with (
            inference_records.read(connection, wanted) as reader,
            pyarrow.parquet.ParquetWriter(file, reader.schema, compression="zstd") as writer,
        ):
            for chunk in reader:
                writer.write_batch(chunk.data)
                rows += chunk.data.num_rows
    errors.print(f"{rows:,} records written to {file}", markup=False)


@app.command
def rules(
    deployment: str,
    *,
    sample_rate: float = 0.0,
    on_error: bool = False,
    columns: Sequence[str] = (),
    redact: Sequence[str] = (),
    max_body_bytes: int = 65_536,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Say which requests of a deployment are recorded with their tensors, and what is left out of these.

    Parameters
    ----------
    deployment
        The deployment.
    sample_rate
        The share of requests, from 0 to 1.
    on_error
        Also all that fail.
    columns
        The names of an input's columns: table=age,income,rooms. May be given many times.
    redact
        An input, or a column of one by its name or number: table, table.income, table.1. May be given many times.
    max_body_bytes
        Larger tensors are not recorded.
    project
        The project.
    """
    if max_body_bytes < 1:
        raise InvalidArgument(
            f"--max-body-bytes must be at least 1; it is {max_body_bytes}. With --sample-rate 0 none are recorded.",
            field="max_body_bytes",
        )
    recording = recording_pb2.Recording(
        sample_rate=sample_rate, on_error=on_error, max_body_bytes=max_body_bytes, inputs=_inputs(columns, redact)
    )
    with Connection.discover() as connection:
        changed = inference_records.record_by(connection, references.deployment(deployment, project), recording)
    as_json(changed.recording)


def _inputs(columns: Sequence[str], redact: Sequence[str]) -> list[recording_pb2.RecordedTensor]:
    """The rules of each input. What looks like a column is one where the input has a column of that name, or where the
    word is a number; otherwise it belongs to the name of the input, in which points are common."""
    tensors: dict[str, recording_pb2.RecordedTensor] = {}
    for text in columns:
        name, equals, names = text.rpartition("=")
        if not equals or not name:
            raise InvalidArgument(f"{text}: columns must look like table=age,income,rooms.", field="columns")
        tensors[name] = recording_pb2.RecordedTensor(name=name, columns=names.split(","))
    for text in redact:
        name, _, column = text.rpartition(".")
        if not name or not (column.isdigit() or (name in tensors and column in tensors[name].columns)):
            name, column = text, ""
        tensor = tensors.setdefault(name, recording_pb2.RecordedTensor(name=name))
        if column:
            tensor.redacted_columns.append(column)
        else:
            tensor.redacted = True
    return list(tensors.values())


def _columns(connection: Connection, record: deployments_pb2.InferenceRecord) -> dict[str, list[str]]:
    try:
        return inference_records.columns_of(connection, references.deployment(record.deployment))
    except NotFound:  # the deployment is not there any more
        return {}


def _name(text: str, project: str) -> InferenceRecordName:
    return InferenceRecordName.parse(text) if "/" in text else InferenceRecordName(project, text)


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if value is None:
        raise InvalidArgument("null is no ground truth.", field="truth")
    return value


def _shaped(shape: Shape, record: deployments_pb2.InferenceRecord, columns: Mapping[str, Sequence[str]]) -> Any:
    request = inference_log.logged(record)
    match shape:
        case "log":
            if not request.is_final:
                raise InvalidArgument(f"This is a part of {request.part_of}; ask for that.", field="record")
            return inference_log.log_of([request])
        case "request":
            return inference_log.request_of(request, columns)
        case "monitored-request":
            return inference_log.monitored_request(request)
        case "monitored-prediction":
            return inference_log.monitored_prediction(request)


def _print(record: deployments_pb2.InferenceRecord) -> None:
    logged = inference_log.logged(record)
    request = inference_log.request_of(logged)
    recorded = zip(request["inputs"]["featureNames"], request["inputs"]["featureValues"], strict=False)
    facts(
        record=record.name,
        time=when(record.request_time),
        deployment=record.deployment,
        version=record.model_version,
        result=record.result_code,
        latency=f"{record.latency_ms:.3f} ms",
        caller=record.caller,
        inputs=_tensors(record.inputs),
        outputs=_tensors(record.outputs),
        request_digest=record.request_digest,
        response_digest=record.response_digest,
        model_digest=record.model_digest,
        preprocessing=record.preprocessing_digest,
        part_of=record.part_of,
        variant=record.variant,
        asked=", ".join(f"{name}={value}" for name, value in recorded),
        answered=request["prediction"]["predictionData"] or "",
        left_out=", ".join(record.redacted),
        ground_truth="" if logged.ground_truth is None else json.dumps(logged.ground_truth, ensure_ascii=False),
        score="" if logged.score is None else f"{logged.score:g}",
        actions=", ".join(logged.actions),
    )


def _tensors(tensors: Iterable[deployments_pb2.TensorFacts]) -> str:
    return ", ".join(f"{each.name}: {each.datatype} {list(each.shape)}" for each in tensors)
