"""The main job: scanned digits in, a traced prediction out. `make demo` runs it and tests/e2e asserts on it."""

import contextlib
import dataclasses
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from deploy.demo import digits, serving
from deploy.demo.shell import ROOT, Shell, facts
from headwater.client import Connection
from headwater.files import Source, export, split_by
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc

EXAMPLE: Final = ROOT / "docs" / "examples" / "digits"
OBJECTIVE: Final = 0.95
EPOCHS: Final = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the job: what it did and how long it took."""

    title: str
    seconds: float
    outcome: str


@dataclasses.dataclass(slots=True)
class Outcome:
    """What the job found out; filled as it goes on."""

    steps: list[Step] = dataclasses.field(default_factory=list)
    rows: int = 0
    pushed: dict[str, str] = dataclasses.field(default_factory=dict)
    pushed_again: dict[str, str] = dataclasses.field(default_factory=dict)
    parquet_digest: str = ""
    prepared: dict[str, str] = dataclasses.field(default_factory=dict)
    prepared_again: dict[str, str] = dataclasses.field(default_factory=dict)
    refusal: str = ""
    job: str = ""
    trained: dict[str, str] = dataclasses.field(default_factory=dict)
    model: dict[str, str] = dataclasses.field(default_factory=dict)
    served: str = ""
    expected_digit: str = ""
    answer: serving.Answer = dataclasses.field(default_factory=serving.Answer)
    single: list[serving.Answer] = dataclasses.field(default_factory=list)
    at_once: list[serving.Answer] = dataclasses.field(default_factory=list)
    largest_batch: int = 0
    accuracy: float = 0.0
    trace: str = ""
    trace_page: str = ""


class MainJob:
    """Runs the steps in order.

    Args:
        shell: reaches the stack through the command line.
        work: an empty directory for the input files.
        prefix: begins every name that the job makes, so that it can run many times on one stack.
        while_training: called with the training job's name while it trains (tests kill a worker there).
    """

    def __init__(
        self, shell: Shell, work: Path, prefix: str, while_training: Callable[[str], None] = lambda _job: None
    ) -> None:
        self._shell = shell
        self._work = work
        self._while_training = while_training
        self._digits, self._tensors, self._model = f"{prefix}", f"{prefix}-tensors", f"{prefix}"
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Run every step.

        Raises:
            CommandFailed: a step did not end as it should.
        """
        self._push()
        self._prepare()
        self._train()
        self._promote()
        self._serve()
        self._trace()
        return self.outcome

    def _push(self) -> None:
        out, folder = self.outcome, self._work / "digits"
        with self._step("write the scanned digits as PNG files") as done:
            out.rows = digits.write(folder)
            done(f"{out.rows:,} files")
        with self._step("push them as a dataset") as done:
            out.pushed = self._push_source(folder, "directory")
            done(f"{out.pushed['version']}  {_short(out.pushed['digest'])}")
        with self._step("push them again") as done:
            out.pushed_again = self._push_source(folder, "directory")
            done(out.pushed_again["result"])
        with self._step("digest the same rows from Parquet files") as done:
            out.parquet_digest = self._digest_of_parquet(folder)
            done(_short(out.parquet_digest))

    def _push_source(self, source: Path, split_by: str) -> dict[str, str]:
        return dict(facts(self._shell.headwater("dataset", "push", self._digits, str(source), "--split-by", split_by)))

    def _digest_of_parquet(self, folder: Path) -> str:
        target = self._work / "parquet"
        target.mkdir()
        source = Source(folder, split_by("directory"))
        for split in source.splits:
            export(source.batches(split), source.schema, target / f"{split}.parquet")
        return dict(facts(self._shell.headwater("dataset", "digest", str(target), "--split-by", "directory")))["digest"]

    def _prepare(self) -> None:
        out = self.outcome
        self._shell.headwater("pipeline", "create", str(EXAMPLE / "prep.json"))
        with self._step("decode, resize and normalise to tensors") as done:
            out.prepared = self._apply()
            done(f"{out.prepared['rows']} rows  {_short(out.prepared['digest'])}")
        with self._step("prepare again") as done:
            out.prepared_again = self._apply()
            done(out.prepared_again["cache"])

    def _apply(self) -> dict[str, str]:
        arguments = ("digits-prep", "--dataset", self._digits, "--output-dataset", self._tensors)
        return dict(facts(self._shell.headwater("pipeline", "apply", *arguments)))

    def _train(self) -> None:
        out = self.outcome
        rule = ("--metric", "test/accuracy", "--at-least", str(OBJECTIVE), "--stage", "production")
        self._shell.headwater("model", "require", self._model, *rule)
        with self._step("train too little: version 1") as done:
            weak = self._submit(epochs=1, learning_rate=1e-6)
            self._follow(weak)
            out.refusal = self._shell.refused("model", "promote", f"{self._model}@1", "--stage", "production")
            done("promotion refused: " + " ".join(out.refusal.split()))
        with self._step("train on 2 workers: version 2") as done:
            out.job = self._submit(epochs=EPOCHS, learning_rate=2e-3)
            self._while_training(out.job)
            out.trained = self._follow(out.job)
            out.model = dict(facts(self._shell.headwater("model", "show", f"{self._model}@2")))
            done(out.trained["metrics"])

    def _submit(self, epochs: int, learning_rate: float) -> str:
        output = self._shell.headwater(
            *("train", "submit", str(EXAMPLE), "--command", "train.py", "--dataset", self._tensors),
            *("--model", self._model, "--workers", "2", "--no-watch"),
            *("--parameter", f"epochs={epochs}", "--parameter", f"learning_rate={learning_rate}"),
        )
        return facts(output)["job"]

    def _follow(self, job: str) -> dict[str, str]:
        return dict(facts(self._shell.headwater("train", "watch", job)))

    def _promote(self) -> None:
        with self._step("promote version 2 to production") as done:
            promoted = self._shell.headwater("model", "promote", f"{self._model}@2", "--stage", "production")
            done(facts(promoted)["stage"])
        with self._step("serve it by its stage") as done:
            created = self._shell.headwater(
                "deployment", "create", self._model, "--model", self._model, "--stage", "production"
            )
            done(facts(created)["state"])

    def _serve(self) -> None:
        out = self.outcome
        with Connection.discover({"HEADWATER_HOME": str(self._shell.home)}) as connection:
            served = serving.Served(connection, self._model)
            test = serving.read_test_set(connection, out.prepared["version"])
            with self._step("ask with the stock tritonclient") as done:
                out.served = served.describe()
                out.expected_digit, out.answer = test.labels[0], served.ask(test.images[0])
                done(f"{out.served}; a scanned {out.expected_digit} is a {out.answer.digit}")
            images = test.images[: serving.REQUESTS]
            with self._step(f"{len(images)} requests in flight from {serving.CLIENTS} clients") as done:
                out.single, out.at_once = served.ask_each(images), served.ask_at_once(images)
                right = sum(answer.digit == label for answer, label in zip(out.at_once, test.labels, strict=False))
                out.accuracy, out.largest_batch = right / len(images), _largest_batch(connection, self._model)
                done(f"{right} of {len(images)} right, up to {out.largest_batch} in one batch")

    def _trace(self) -> None:
        out = self.outcome
        with self._step("trace one answer back to its files") as done:
            out.trace = self._shell.headwater("trace", out.answer.request_id, "--files", "3")
            done(f"{len(out.trace.splitlines())} lines")
        with self._step("open its page") as done:
            out.trace_page = self._page(out.answer.request_id)
            done(f"{len(out.trace_page):,} characters of HTML")

    def _page(self, request_id: str) -> str:
        with Connection.discover({"HEADWATER_HOME": str(self._shell.home)}) as connection:
            request = urllib.request.Request(  # noqa: S310 - our own gateway
                f"{connection.endpoints.gateway}/traces/{request_id}",
                headers={"authorization": f"Bearer {connection.token}"},
            )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            page: str = response.read().decode()
        return page

    @contextlib.contextmanager
    def _step(self, title: str) -> Iterator[Callable[[str], None]]:
        self._shell.show(f"\n== {title}")
        started = time.monotonic()
        outcome = ""

        def done(text: str) -> None:
            nonlocal outcome
            outcome = text

        yield done
        self.outcome.steps.append(Step(title, time.monotonic() - started, outcome))


def _largest_batch(connection: Connection, deployment: str) -> int:
    stub = deployments_pb2_grpc.InferenceRecordServiceStub(connection.channel("inference"))
    request = deployments_pb2.ListInferenceRecordsRequest(
        parent="projects/default",
        deployment=f"projects/default/deployments/{deployment}",
        page_size=serving.REQUESTS,
    )
    return max(record.batch_size for record in stub.ListInferenceRecords(request).inference_records)


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
