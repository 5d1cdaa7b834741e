"""N-04: one pipeline, one engine, from the training data to the answers, over the services themselves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tritonclient.grpc as triton

from chassis.auth import Role
from headwater import (
    datasets,
    deployments,
    lineage,
    model_preprocessing,
    models,
    parity,
    pipelines,
    references,
    transforms,
)
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.names import DatasetName
from headwater.preprocessing.v1 import jobs_pb2
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.tensors import byte_strings
from tests.integration.inference.pipelines import SHAPE, document, image
from tests.platform import Platform
from tests.unit.inference import onnx_models


def train(connection: Connection, data: str) -> str:
    """A run on the prepared data, as a training job leaves it."""
    runs = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
    run = runs.CreateRun(runs_pb2.CreateRunRequest(parent="projects/default", run=artifact_pb2.Run(display_name="t")))
    edge = artifact_pb2.ArtifactConnection(
        first_name=data, second_name=run.name, role=artifact_pb2.ArtifactConnection.ROLE_INPUT, run_name=run.name
    )
    lineage_pb2_grpc.LineageServiceStub(connection.channel("registry")).CreateConnections(
        lineage_pb2.CreateConnectionsRequest(parent="projects/default", connections=[edge])
    )
    return run.name


def ask(address: str, token: str, name: str, files: list[bytes]) -> Any:
    given = triton.InferInput("raw", [len(files)], "BYTES")
    given.set_data_from_numpy(byte_strings(files))
    with triton.InferenceServerClient(address) as client:
        return client.infer(name, [given], headers={"authorization": f"Bearer {token}"}).as_numpy("y")


def whole_way(platform: Platform, folder: Path) -> None:
    connection = platform.connect(Role.WRITER)
    address, token = platform.services["inference"].address, platform.token_for(Role.READER)
    files = [image(seed) for seed in range(5)]
    rows = pa.table({"image": pa.array(files, pa.binary())})
    version = datasets.push(connection, "digits", datasets.Tables({"train": rows})).version.name
    pipeline = pipelines.create(connection, document())
    assert transforms.Pipeline.parse(pipeline.document).digest == pipeline.digest
    *_, job = pipelines.watch(
        connection, pipelines.apply(connection, pipeline.name, version, DatasetName("default", "tensors")).name
    )
    assert job.state == jobs_pb2.PreprocessingJob.STATE_SUCCEEDED, job.failure
    trained_on = datasets.reader(connection, job.output_version, "train").read_all().column("tensor").combine_chunks()

    # A job's version records the pipeline of its data by itself.
    (folder / "model.onnx").write_bytes(onnx_models.identity(shape=SHAPE))
    model = references.model("digits")
    only = {"model.onnx": folder / "model.onnx"}
    made = models.register(connection, model, only, run=train(connection, job.output_version))
    assert made.preprocessing.pipeline_version == pipeline.name
    assert made.preprocessing.document == pipeline.document
    name = references.deployment("digits")
    deployments.create(connection, name, model, version="1", takes="raw")
    deployments.wait_until_ready(connection, name)
    served = ask(address, token, "digits", files)
    assert served.tobytes() == trained_on.flatten().to_numpy().tobytes()

    # Another pipeline is another version's, with a parity record that its server has to keep.
    pipelines.create(connection, document("bilinear", version="2.0.0"))
    prepared = model_preprocessing.preprocessing(connection, "prep@2.0.0")
    (folder / "7.png").write_bytes(files[0])
    record = model_preprocessing.parity_of(only, [folder / "7.png"], prepared)
    second = models.register(connection, model, only, preprocessing=prepared, parity=record)
    assert second.pipeline_versions == [prepared.pipeline_version]
    graph = lineage.get(connection, prepared.pipeline_version, downstream=True)
    assert [edge.second_name for edge in graph.connections] == [second.name]
    other = references.deployment("digits-2")
    deployments.create(connection, other, model, version="2")
    deployments.wait_until_ready(connection, other)
    expected = transforms.Pipeline.parse(prepared.document).prepare_all(files)
    np.testing.assert_array_equal(ask(address, token, "digits-2", files), expected)
    np.testing.assert_array_equal(ask(address, token, "digits", files), served)  # the old one is as it was

    # What was recorded elsewhere and does not hold here is not served.
    wrong = json.loads(parity.write(record))
    wrong["samples"][0]["prepared"] = f"sha256:{'0' * 64}"
    (folder / parity.PATH).write_text(json.dumps(wrong))
    with_record = {**only, parity.PATH: folder / parity.PATH}
    models.register(connection, model, with_record, preprocessing=prepared)
    third = references.deployment("digits-3")
    deployments.create(connection, third, model, version="3")
    with pytest.raises(
        deployments.DeploymentFailed, match="Sample 0 of the parity record, preprocessing: expected sha"
    ):
        deployments.wait_until_ready(connection, third)


async def test_what_is_trained_on_is_what_is_served(start_platform: Any, tmp_path: Path) -> None:
    """The tensors that the dataset service gives for training and those that serving computes of the same files are the
    same bytes; a new pipeline changes nothing of the version before; a record that does not hold keeps one out."""
    platform = await start_platform("registry", "dataset", "preprocessing", "inference")
    await asyncio.to_thread(whole_way, platform, tmp_path)
