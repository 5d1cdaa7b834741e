"""``headwater model convert``, ``tune`` and ``conversion``, as they are typed."""

import asyncio
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from chassis.auth import Role
from headwater import deployments, models
from headwater.names import DeploymentName, ModelName
from tests.unit.inference.onnx_models import model, tensor


def layer() -> bytes:
    """y = x W: one row of 16 becomes 4."""
    weights = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ("rows", 16))],
        [tensor("y", TensorProto.FLOAT, ("rows", 4))],
        initializer=[numpy_helper.from_array(weights, "w")],
    ).SerializeToString()


async def test_versions_are_converted_and_tuned_from_the_command_line(start_platform: Any, tmp_path: Path) -> None:
    """P-20, P-28, P-29: what was found is printed; what cannot be done is one sentence, and the exit code 1."""
    platform = await start_platform("registry", "inference")
    folder = tmp_path / "home"
    folder.joinpath(".headwater").mkdir(parents=True)
    file = tmp_path / "model.onnx"
    file.write_bytes(layer())

    def typed(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "headwater", "model", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
        return done.returncode, done.stdout + done.stderr

    with platform.connect(Role.WRITER) as connection:
        told = {"token": connection.token, "endpoints.json": json.dumps(dataclasses.asdict(connection.endpoints))}
        for name, content in told.items():
            folder.joinpath(".headwater", name).write_text(content)

        def steps() -> None:
            layers, served = ModelName("default", "layers"), DeploymentName("default", "layers")
            models.register(connection, layers, {"model.onnx": file})
            code, shown = typed("convert", "layers@1", "--to", "onnx-int8", "--min-top1", "0.5")
            assert (code, "projects/default/models/layers/versions/2" in shown) == (0, True), shown
            assert "succeeded" in shown
            assert "onnx_int8" in shown
            code, shown = typed("convert", "layers@1", "--to", "onnx")
            assert (code, "The file is ONNX already." in shown) == (1, True), shown
            code, shown = typed("convert", "layers@1", "--to", "tensorrt")
            assert (code, "target must be one of torchscript, onnx, onnx-int8" in shown) == (1, True), shown
            code, shown = typed("convert", "layers@1", "--input", "x")
            assert (code, "name:TYPE:shape" in shown) == (1, True), shown
            deployments.create(connection, served, layers, version="1")
            code, shown = typed("tune", "layers@1", "--seconds", "0.1", "--max-batch-size", "4", "--apply", "layers")
            assert (code, "times as fast" in shown) == (0, True), shown
            code, shown = typed("conversion", "list")
            assert (code, shown.count("projects/default/models/layers/versions/1")) == (0, 3), shown
            assert "convert to onnx-int8" in shown
            job = next(line.split()[0] for line in shown.splitlines() if " tune " in line)
            code, shown = typed("conversion", "show", job)
            assert (code, "baseline" in shown) == (0, True), shown
            code, shown = typed("conversion", "cancel", job)
            assert (code, "has ended already" in shown) == (1, True), shown

        await asyncio.to_thread(steps)
