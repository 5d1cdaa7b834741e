"""``headwater model convert`` and ``tune``, and ``headwater model conversion`` for the jobs that they begin."""

from typing import Annotated

import cyclopts

from headwater import conversions, model_pointers, references
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts, table, when
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import engines_pb2
from headwater.inference.v1.conversions_pb2 import Candidate, ConversionJob
from headwater.names import DEFAULT_PROJECT, ConversionJobName

conversion = cyclopts.App(name="conversion", help="Jobs that convert and tune versions.")
app.command(conversion)


@app.command
def convert(
    version: str,
    *,
    to: str = "onnx",
    absolute: float | None = None,
    relative: float | None = None,
    min_top1: float | None = None,
    architecture: str = "",
    input_: Annotated[words.Several, cyclopts.Parameter(name="--input")] = (),
    samples: int = conversions.SAMPLES,
    wait: bool = True,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Make a version into another form, and register that as a new version if it answers as the version does.

    Parameters
    ----------
    version
        digits@3 or digits@production, for example.
    to
        onnx, torchscript or onnx-int8.
    absolute
        How far a number may be off; 0.00001 unless given.
    relative
        The same as a part of the number; 0.001 unless given.
    min_top1
        Instead of these: in which share of the rows the largest number must be the same; 0.99, for example.
    architecture
        What weights are the weights of: mlp, for example.
    input_
        What goes in, where the file does not tell it, x:FP32:-1,4 for example; may be given several times.
    samples
        How many random inputs are compared, where the version has no parity record: from 1 to 64.
    wait
        Return only when it has ended.
    project
        The project of the model.
    """
    if samples < 1:
        raise InvalidArgument(f"At least one input is compared; --samples is {samples}.", field="samples")
    gate = conversions.gate(absolute=absolute, relative=relative, min_top1_agreement=min_top1)
    engine = _engine(architecture, input_)
    with Connection.discover() as connection:
        named = model_pointers.named(connection, version, project=project)
        begun = conversions.convert(connection, named, to, engine=engine, gate=gate, sample_count=samples)
        _follow(connection, begun, wait)


@app.command
def tune(
    version: str,
    *,
    rows: int = 1,
    max_batch_size: int = 32,
    seconds: float = 20.0,
    min_speedup: float = 1.0,
    int8: bool = False,
    absolute: float | None = None,
    relative: float | None = None,
    min_top1: float | None = None,
    architecture: str = "",
    input_: Annotated[words.Several, cyclopts.Parameter(name="--input")] = (),
    apply: str = "",
    wait: bool = True,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Measure in which form and with how many threads a version is computed fastest on the service's machine.

    Parameters
    ----------
    version
        digits@3 or digits@production, for example.
    rows
        How many rows the requests have that are to be fast.
    max_batch_size
        The largest batch that is measured.
    seconds
        How long to measure.
    min_speedup
        How much faster another form must be to be chosen; never less than 1.
    int8
        Whether to try 8-bit integers.
    absolute
        How far a number may be off; 0.00001 unless given.
    relative
        The same as a part of the number; 0.001 unless given.
    min_top1
        Instead of these: in which share of the rows the largest number must be the same; 0.99, for example.
    architecture
        What weights are the weights of: mlp, for example.
    input_
        What goes in, where the file does not tell it, x:FP32:-1,4 for example; may be given several times.
    apply
        A served name, which is to use what was found.
    wait
        Return only when it has ended.
    project
        The project of the model.
    """
    if apply and not wait:
        raise InvalidArgument("Only what was waited for can be applied.", field="apply")
    gate = conversions.gate(absolute=absolute, relative=relative, min_top1_agreement=min_top1)
    engine = _engine(architecture, input_)
    with Connection.discover() as connection:
        begun = conversions.tune(
            connection,
            model_pointers.named(connection, version, project=project),
            rows=rows,
            max_batch_size=max_batch_size,
            seconds=seconds,
            min_speedup=min_speedup,
            int8=int8,
            engine=engine,
            gate=gate,
        )
        _follow(connection, begun, wait)
        if apply:
            _apply(connection, ConversionJobName.parse(begun.name), apply, project)


@conversion.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List jobs, newest first.

    Parameters
    ----------
    project
        Their project.
    """
    with Connection.discover() as connection:
        rows = [
            (_id(each), when(each.create_time), each.source, _work(each), _state(each), each.result or each.failure)
            for each in conversions.find(connection, project=project)
        ]
    table(("job", "asked for", "source", "work", "state", "result"), rows)


@conversion.command
def show(job: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show a job with its evidence.

    Parameters
    ----------
    job
        Its id.
    project
        Its project.
    """
    with Connection.discover() as connection:
        _print(conversions.get(connection, ConversionJobName(project, job)))


@conversion.command
def cancel(job: str, *, project: str = DEFAULT_PROJECT) -> None:
    """End a job.

    Parameters
    ----------
    job
        Its id.
    project
        Its project.
    """
    with Connection.discover() as connection:
        _print(conversions.cancel(connection, ConversionJobName(project, job)))


@conversion.command
def apply(job: str, deployment: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Write what a tuning chose into a deployment.

    Parameters
    ----------
    job
        Its id.
    deployment
        The served name.
    project
        The project of both.
    """
    with Connection.discover() as connection:
        _apply(connection, ConversionJobName(project, job), deployment, project)


def _follow(connection: Connection, begun: ConversionJob, wait: bool) -> None:
    job = conversions.wait(connection, ConversionJobName.parse(begun.name)) if wait else begun
    _print(job)
    conversions.check(job)


def _apply(connection: Connection, job: ConversionJobName, deployment: str, project: str) -> None:
    applied = conversions.apply(connection, job, references.deployment(deployment, project))
    facts(
        deployment=deployment,
        version=applied.model_version,
        threads=applied.threads,
        max_batch_size=applied.max_batch_size,
    )


def _engine(architecture: str, inputs: words.Several) -> engines_pb2.Engine:
    return engines_pb2.Engine(architecture=architecture, inputs=[_tensor(each) for each in inputs])


def _tensor(text: str) -> artifact_pb2.TensorSpec:
    try:
        name, datatype, shape = text.rsplit(":", 2)
        return artifact_pb2.TensorSpec(name=name, datatype=datatype, shape=[int(size) for size in shape.split(",")])
    except ValueError as error:
        raise InvalidArgument(f"An input is name:TYPE:shape, x:FP32:-1,4 for example; not {text!r}.") from error


def _print(job: ConversionJob) -> None:
    facts(
        job=job.name,
        source=job.source,
        work=_work(job),
        state=_state(job),
        failure=job.failure,
        chosen=job.evidence.chosen,
        speedup=f"{job.evidence.speedup:.2f}" if job.evidence.chosen else "",
        max_batch_size=job.evidence.max_batch_size or "",
        result=job.result,
    )
    if job.evidence.candidates:
        columns = ("candidate", "median ms", "times as fast", "largest difference", "same top 1", "why not")
        table(columns, [_row(each) for each in job.evidence.candidates])


def _row(candidate: Candidate) -> tuple[object, ...]:
    largest = max((each.largest_absolute for each in candidate.differences), default=0.0)
    return (
        candidate.name,
        f"{candidate.median_ms:.3f}" if candidate.rounds else "",
        f"{candidate.speedup:.2f}" if candidate.rounds else "",
        f"{largest:.3g}" if candidate.differences else "",
        f"{candidate.top1_agreement:.1%}" if candidate.top1_agreement else "",
        candidate.refused,
    )


def _id(job: ConversionJob) -> str:
    return job.name.rpartition("/")[2]


def _work(job: ConversionJob) -> str:
    if job.WhichOneof("work") == "tuning":
        return "tune"
    targets = {value: name for name, value in conversions.TARGETS.items()}
    return f"convert to {targets.get(job.conversion.target, job.conversion.target)}"


def _state(job: ConversionJob) -> str:
    return ConversionJob.State.Name(job.state).removeprefix("STATE_").lower()
