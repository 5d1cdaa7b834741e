"""What the web's pages about serving show in tests: deployments in every state, requests, incidents and rollouts."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from headwater import (
    deployment_options,
    deployments,
    incidents,
    inference_records,
    model_pointers,
    models,
    rollouts,
    traffic,
)
from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, rollouts_pb2
from headwater.names import DeploymentName, IncidentName, InferenceRecordName, ModelName, ProjectName, RolloutName
from headwater.tensors import Array
from tests.platform import Platform
from tests.unit.inference import onnx_models

SCRIPT = "<script>alert(1)</script>"
LONG = "long" * 50
AWKWARD_INPUT = f'it\'s "x" $(id) {SCRIPT}'
TOO_FAR = 100
_TIMES = 14


def named(deployment: str) -> DeploymentName:
    """A deployment of the default project."""
    return DeploymentName("default", deployment)


def fill(site: Platform, directory: Path) -> None:
    """Serve everything and ask for it; returns when it can be seen."""
    with contextlib.closing(site.connect()) as connection:
        maker = _Maker(site, connection, directory)
        maker.scores()
        maker.prices()
        maker.awkward()
        maker.others()


def record_ids(connection: Connection, deployment: str) -> list[str]:
    """The requests to a deployment, newest first."""
    found = inference_records.find(connection, ProjectName("default"), deployment=named(deployment))
    return [record.name.rpartition("/")[2] for record in found]


def ask_often(site: Platform, connection: Connection, deployment: str, times: int) -> None:
    """Ask ``awkward``, or another that takes three numbers under that name, and wait for the records."""
    before = len(record_ids(connection, deployment))
    tensor = triton.InferInput(AWKWARD_INPUT, [1, 3], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3), np.float32))
    headers = {"authorization": f"Bearer {connection.token}"}
    with contextlib.closing(triton.InferenceServerClient(site.endpoints.inference)) as client:
        for _ in range(times):
            client.infer(deployment, [tensor], headers=headers)
    _until(lambda: len(record_ids(connection, deployment)) >= before + times)


class _Maker:
    def __init__(self, site: Platform, connection: Connection, directory: Path) -> None:
        self.site, self.connection, self.directory = site, connection, directory

    def scores(self) -> None:
        """A deployment with everything: a variant, a shadow, fallbacks, recorded tensors, feedback, a rollout."""
        for factor in (2.0, 2.25, -2.0):
            self._register("scores", onnx_models.scaled(factor, 3))
        columns = ["age", "income", "rooms"]
        recorded = {"name": "x", "columns": columns, "redacted_columns": ["income"]}
        options = {
            "recording": {"sample_rate": 1, "on_error": True, "inputs": [recorded]},
            "batching": {"max_batch_size": 32, "max_delay": "0.005s", "priority_levels": 3},
            "cache": {"enabled": True, "ttl": "60s"},
            "drift": {"enabled": True, "first_rows": 10, "min_rows": 500},
        }
        self._serve("scores", "scores", "1", **options)
        shares = [traffic.variant("next", "2", 30), traffic.variant("wrong", "3", 100, shadow=True)]
        stand_ins = [traffic.fallback("2"), traffic.fallback("deployment:prices")]
        traffic.route(self.connection, named("scores"), shares, stand_ins, sticky_by_caller=True)
        _until(lambda: len(traffic.get(self.connection, named("scores")).targets) == 4)
        _until(lambda: all(each.model_version for each in traffic.get(self.connection, named("scores")).targets))
        for turn in range(_TIMES):
            row = np.array([[40 + turn, 81_500, 3]], np.float32)
            self._ask("scores", "x", row, request_id=f"mine {SCRIPT}", key=f"user-{turn}")
        _until(lambda: len(record_ids(self.connection, "scores")) >= _TIMES + 2)  # the shadow's among them
        said = InferenceRecordName("default", self._answered("scores")[0])
        inference_records.say(
            self.connection,
            said,
            ground_truth=f"pays {SCRIPT}",
            score=0.9,
            actions=["opened"],
            explanation={"age": 2.5},
        )
        rolled = rollouts.start(self.connection, named("scores"), "2", _steps(5, 50), max_error_rate=0.01)
        rollouts.abort(self.connection, RolloutName.parse(rolled.name))
        rollouts.start(self.connection, named("scores"), "2", _steps(10, 60), max_error_rate=0.01, min_agreement=0.9)

    def prices(self) -> None:
        """A deployment whose version fails: its breaker is open, and an incident says why."""
        self._register("prices", onnx_models.table_lookup(8))
        breaker = {"consecutive_failures": 3, "open_ms": 3_600_000, "max_open_ms": 3_600_000}
        self._serve("prices", "prices", "served", guard={"breaker": breaker})
        self._ask("prices", "x", np.full(1, 3, np.int64))
        for _ in range(3):
            self._ask("prices", "x", np.full(1, TOO_FAR, np.int64), request_id=f"mine {SCRIPT}")
        _until(lambda: any(incidents.find(self.connection, ProjectName("default"), state="open")))
        opened = next(incidents.find(self.connection, ProjectName("default"), deployment=named("prices")))
        incidents.acknowledge(self.connection, IncidentName.parse(opened.name), f"The table is short {SCRIPT}")

    def awkward(self) -> None:
        """Names that are markup, that a shell would take for commands, and that are long."""
        x = helper.make_tensor_value_info(AWKWARD_INPUT, TensorProto.FLOAT, ["rows", 3])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])
        graph = helper.make_graph([helper.make_node("Identity", [AWKWARD_INPUT], ["y"])], "g", [x], [y])
        file = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
        self._register("awkward", file.SerializeToString())
        self._serve("awkward", "awkward", "1")
        self._register("back", onnx_models.scaled(1.0))
        self._register("back", onnx_models.scaled(2.0))
        self._serve(LONG, "back", "served")
        deployments.roll_back(self.connection, named(LONG), f"customers complain {SCRIPT}", version="1")
        _until(lambda: self._get(LONG).state == deployments_pb2.Deployment.STATE_ROLLED_BACK)

    def others(self) -> None:
        """One that waits, one that cannot be loaded, one that is paused, one that is gone."""
        self._create("waiting", "scores", "production")
        self._create("failing", "scores", "1", engine={"callable": "nobody"})
        _until(lambda: self._get("failing").state == deployments_pb2.Deployment.STATE_FAILED)
        self._create("paused", "scores", "1", unloaded=True)
        self._create("gone", "scores", "1")
        stub = deployments_pb2_grpc.DeploymentServiceStub(self.connection.channel("inference"))
        stub.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=str(named("gone"))))

    def _register(self, model: str, content: bytes) -> None:
        file = self.directory / f"{model}.onnx"
        file.write_bytes(content)
        version = models.register(self.connection, ModelName("default", model), {"model.onnx": file})
        model_pointers.set_alias(self.connection, ModelName("default", model), "served", version.version)

    def _create(self, name: str, model: str, by: str, **options: object) -> None:
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment_options.parsed(options)
        )
        request.deployment.model = str(ModelName("default", model))
        traffic.select(request.deployment, by)
        deployments_pb2_grpc.DeploymentServiceStub(self.connection.channel("inference")).CreateDeployment(request)

    def _serve(self, name: str, model: str, by: str, **options: object) -> None:
        self._create(name, model, by, **options)
        deployments.wait_until_ready(self.connection, named(name))

    def _get(self, name: str) -> deployments_pb2.Deployment:
        stub = deployments_pb2_grpc.DeploymentServiceStub(self.connection.channel("inference"))
        return stub.GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(named(name))))

    def _ask(self, name: str, tensor: str, values: Array, *, request_id: str = "", key: str = "") -> None:
        given = triton.InferInput(tensor, list(values.shape), "INT64" if values.dtype == np.int64 else "FP32")
        given.set_data_from_numpy(values)
        with contextlib.closing(triton.InferenceServerClient(self.site.endpoints.inference)) as client:
            headers = {"authorization": f"Bearer {self.connection.token}"}
            with contextlib.suppress(InferenceServerException):  # some are asked for what fails
                parameters = {"headwater_routing_key": key} if key else None
                client.infer(name, [given], headers=headers, request_id=request_id, parameters=parameters)

    def _answered(self, name: str) -> list[str]:
        found = inference_records.find(self.connection, ProjectName("default"), deployment=named(name))
        return [record.name.rpartition("/")[2] for record in found if record.is_final and record.result_code == "OK"]


def _steps(*shares: float) -> list[rollouts_pb2.RolloutStep]:
    return [rollouts_pb2.RolloutStep(weight_percent=each, min_requests=1000, min_seconds=3600) for each in shares]


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)
